"""One attempt at a step, live: what is looked at, the checklist, and the way out."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from core.ui.requests import attempt as try_verb
from core.ui.requests import is_fragment, person
from migrator import plan_policies as policies
from migrator.operations import steps as verbs
from migrator.runners.checks import CONFIRMATION
from migrator.runners.manual import items_of
from migrator.runners.registry import RUNNERS
from migrator.selectors import plans as selectors

if TYPE_CHECKING:
    from core.models import User
    from migrator.models import Attempt, Tick


@dataclass(frozen=True, kw_only=True)
class Item:
    """One line of a checklist, with who ticked it."""

    part: str
    number: int
    text: str
    tick: Tick | None


@require_GET
def attempt(request: HttpRequest, attempt_id: uuid.UUID) -> HttpResponse:
    user = person(request)
    found = selectors.attempt_with_id(user, attempt_id)
    return render(request, "plans/attempt.html", _live(user, found))


@require_GET
@never_cache
def attempt_live(request: HttpRequest, attempt_id: uuid.UUID) -> HttpResponse:
    """What changes while it is under way; it asks for itself again until it is over."""
    user = person(request)
    found = selectors.attempt_with_id(user, attempt_id)
    return render(request, "plans/_attempt_live.html", {**_live(user, found), "swap": True})


@require_POST
def turn_round(request: HttpRequest, attempt_id: uuid.UUID) -> HttpResponse:
    """One click, no question. Whoever may see it may turn it round."""
    user = person(request)
    found = selectors.attempt_with_id(user, attempt_id)
    try_verb(request, lambda: verbs.turn_round(actor=user, attempt=found))
    return redirect("attempt", attempt_id)


@require_POST
def go_on(request: HttpRequest, attempt_id: uuid.UUID) -> HttpResponse:
    user = person(request)
    found = selectors.attempt_with_id(user, attempt_id)
    try_verb(request, lambda: verbs.continue_step(actor=user, attempt=found), "It goes on.")
    return redirect("attempt", attempt_id)


@require_POST
def by_hand(request: HttpRequest, attempt_id: uuid.UUID) -> HttpResponse:
    user = person(request)
    found = selectors.attempt_with_id(user, attempt_id)
    reason = request.POST.get("reason", "")
    try_verb(
        request,
        lambda: verbs.resolve_by_hand(actor=user, attempt=found, reason=reason),
        "Resolved by hand; it is in the plan's history.",
    )
    return redirect("attempt", attempt_id)


@require_POST
def tick(request: HttpRequest, attempt_id: uuid.UUID) -> HttpResponse:
    user = person(request)
    found = selectors.attempt_with_id(user, attempt_id)
    part, given = request.POST.get("part", ""), request.POST.get("item", "")
    number = int(given) if given.isdecimal() and len(given) < 5 else -1
    try_verb(request, lambda: verbs.tick_item(actor=user, attempt=found, part=part, item=number))
    if is_fragment(request):
        return render(request, "plans/_attempt_live.html", {**_live(user, found), "swap": True})
    return redirect("attempt", attempt_id)


def _live(user: User, found: Attempt) -> dict[str, Any]:
    ticks = {(each.part, each.item): each for each in found.ticks.select_related("ticked_by").all()}
    runner = RUNNERS.get(found.kind)
    return {
        "attempt": found,
        "plan": found.plan,
        "step": found.step,
        "runner": runner,
        "what": runner.in_words(found.parameters) if runner else "",
        "items": _items(found, ticks),
        "figures": _figures(found),
        "entries": list(found.history.select_related("actor").order_by("-at", "-pk")),
        "can_run": policies.may_run(user, found.plan),
        "can_lead": policies.may_lead(user, found.plan),
    }


def _figures(found: Attempt) -> list[tuple[str, int, int]]:
    """Half, requests, errors; empty where nothing is counted."""
    figures = found.seen.get("figures") or {}
    return [
        (half, int(each["requests"]), int(each["errors"]))
        for half, each in figures.items()
        if isinstance(each, dict) and "requests" in each and "errors" in each
    ]


def _items(found: Attempt, ticks: dict[tuple[str, int], Tick]) -> list[Item]:
    back = found.state in ("returning", "proving", "return_stuck")
    lines = [("back", "back_items")] if back else [("do", "items")]
    runner = RUNNERS.get(found.kind)
    figures = found.seen.get("figures") or {}
    if runner is not None and not runner.ticks_at_once and not figures.get("may_tick"):
        lines = []
    items = [
        Item(part=part, number=number, text=text, tick=ticks.get((part, number)))
        for part, field in lines
        for number, text in enumerate(items_of(found.parameters, field))
    ]
    part, kind, asked = (
        ("back", found.back_check_kind, found.back_check_parameters)
        if back
        else ("check", found.check_kind, found.check_parameters)
    )
    if kind == "confirm":
        confirmed = ticks.get((part, CONFIRMATION))
        text = str(asked.get("question", ""))
        items.append(Item(part=part, number=CONFIRMATION, text=text, tick=confirmed))
    return items
