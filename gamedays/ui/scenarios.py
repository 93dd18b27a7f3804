"""Scenarios: what can be broken, what we believe about it, and what to read first."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from core import selectors as core_selectors
from core.ui.requests import person
from gamedays.scenarios.registry import all_scenarios, get_scenario
from gamedays.selectors.coverage import coverage, runs_of


@require_GET
def scenarios(request: HttpRequest) -> HttpResponse:
    user = person(request)
    return render(
        request,
        "scenarios/list.html",
        {"scenarios": all_scenarios(), "coverage": coverage(user)},
    )


@require_GET
def scenario(request: HttpRequest, key: str) -> HttpResponse:
    user = person(request)
    found = get_scenario(key)
    return render(
        request,
        "scenarios/scenario.html",
        {
            "scenario": found,
            "runs": runs_of(user, key),
            "can_book": core_selectors.bookable_clusters(user).exists(),
        },
    )
