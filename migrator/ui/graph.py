"""The dependency graph as a page: a picture, its cycles in words, and all of it as text."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from core.ui.requests import person
from migrator.selectors import graph as selectors
from migrator.selectors import services as service_selectors
from migrator.ui.graph_svg import draw

_STEPS = 2


@require_GET
def service_graph(request: HttpRequest) -> HttpResponse:
    """All (`?team=…` for one team's), or one with its neighbours (`?focus=…&steps=2`)."""
    user = person(request)
    team = request.GET.get("team", "").replace("\x00", "")[:80]
    asked = request.GET.get("focus", "").replace("\x00", "").strip()[:80]
    steps = _steps_of(request.GET.get("steps", ""))
    focus = service_selectors.focused(user, asked) if asked else None
    if focus is not None:
        found = selectors.graph_around(user, focus, steps=steps)
    else:
        found = selectors.graph_of(user, team=team)
    by_id = {each.pk: each for each in found.services}
    needs: dict[int, list[str]] = {}
    for a, b in found.edges:
        needs.setdefault(a, []).append(by_id[b].name)
    return render(
        request,
        "services/graph.html",
        {
            "graph": found,
            "picture": draw(found, focus) if found.services else None,
            "cycles": [selectors.in_words(cycle) for cycle in found.cycles],
            "as_text": [(each, needs[each.pk]) for each in found.services if each.pk in needs],
            "focus": focus,
            "asked": asked,
            "steps": steps,
            "steps_offered": range(1, selectors.STEPS_MAX + 1),
            "team": team,
            "teams": service_selectors.teams_with_services(user),
            "readable": selectors.READABLE,
        },
    )


def _steps_of(text: str) -> int:
    known = text.isascii() and text.isdecimal() and len(text) == 1
    return min(max(int(text), 1), selectors.STEPS_MAX) if known else _STEPS
