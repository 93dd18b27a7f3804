"""The live strip as a fragment, and the tags of the loop that every page may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from core.selectors import current_stop
from core.ui.requests import person
from gamedays.selectors.strip import StripLine, strip_lines
from gamedays.selectors.words import scenario_title as title_of
from gamedays.selectors.words import window_words

if TYPE_CHECKING:
    from django.template.context import Context

    from core.models import EmergencyStop

register = template.Library()

LIVE_EVERY_S = 1
QUIET_EVERY_S = 5
_LINES = "belay_strip_lines"
_STOP = "belay_emergency_stop"


@require_GET
@never_cache
def strip(request: HttpRequest) -> HttpResponse:
    return render(request, "strip/_strip.html", strip_context(request))


@register.filter
def scenario_title(key: str) -> str:
    return title_of(key)


@register.filter
def passed_share(measured: dict[str, int]) -> float | None:
    """Share of passed attempts of a judgement's or a verification's figures."""
    attempts = measured.get("attempts")
    return measured.get("passed", 0) / attempts if attempts else None


@register.filter
def window_in_words(window: dict[str, object] | None) -> str:
    """Which seconds a judgement speaks of."""
    return window_words(window) if window else ""


@register.filter
def probe_word(state: str) -> str:
    """One look that passed is no proof of a steady state: on a run's page it just passes."""
    return "Passing" if state == "steady" else ""


@register.inclusion_tag("strip/_strip.html", takes_context=True)
def live_strip(context: Context) -> dict[str, Any]:
    """The strip for the signed-in person; nothing for anybody else."""
    request: HttpRequest = context["request"]
    return {**strip_context(request), "csrf_token": context.get("csrf_token", "")}


def lines_of(request: HttpRequest) -> list[StripLine]:
    """The strip's lines, read once for a request: the week's page shows them twice."""
    known: list[StripLine] | None = getattr(request, _LINES, None)
    if known is None:
        known = strip_lines(person(request))
        setattr(request, _LINES, known)
    return known


def stop_of(request: HttpRequest) -> EmergencyStop | None:
    """The emergency stop that is set, read once for a request."""
    if not hasattr(request, _STOP):
        setattr(request, _STOP, current_stop())
    found: EmergencyStop | None = getattr(request, _STOP)
    return found


def strip_context(request: HttpRequest) -> dict[str, Any]:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"lines": None}
    lines = lines_of(request)
    live = any(line.live is not None for line in lines)
    return {
        "lines": lines,
        "stop": stop_of(request),
        "every_s": LIVE_EVERY_S if live else QUIET_EVERY_S,
        "request": request,
    }
