"""The emergency stop: one button for whoever may abort, a signed release for leads."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from core import selectors as core_selectors
from core.policies import may_release, may_stop
from core.ui.paging import page_of
from core.ui.requests import attempt, back, person
from gamedays.operations import emergency as verbs
from gamedays.selectors.runs import live_runs
from gamedays.ui.strip import stop_of

_STOPS = 20


@require_GET
def emergency(request: HttpRequest) -> HttpResponse:
    """What is stopped and by whom, the way out, and every stop there was."""
    user = person(request)
    return render(
        request,
        "emergency/emergency.html",
        {
            "stop": stop_of(request),
            "may_stop": may_stop(user),
            "may_release": may_release(user),
            "live": live_runs(user),
            "stops": page_of(request, core_selectors.newest_stops(), size=_STOPS),
        },
    )


@require_POST
def set_stop(request: HttpRequest) -> HttpResponse:
    """One click: the reason is welcome, and can wait."""
    user = person(request)
    why = request.POST.get("why", "")
    attempt(request, lambda: verbs.set_emergency_stop(actor=user, why=why))
    return redirect(back(request, reverse("emergency")))


@require_POST
def release_stop(request: HttpRequest) -> HttpResponse:
    user = person(request)
    reason = request.POST.get("reason", "")
    attempt(
        request,
        lambda: verbs.release_emergency_stop(actor=user, reason=reason),
        "Released. Faults and steps can be started again; nothing was started by this.",
    )
    return redirect("emergency")
