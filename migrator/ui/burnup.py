"""The burn-up as a page: all together, then each team, as pictures and as tables."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from core.ui.paging import page_of
from core.ui.requests import person
from migrator.selectors import services as service_selectors
from migrator.selectors.burnup import burn_ups
from migrator.ui.burnup_svg import draw

TEAMS_AT_ONCE = 12


@require_GET
def burn_up(request: HttpRequest) -> HttpResponse:
    user = person(request)
    team = request.GET.get("team", "").replace("\x00", "")[:80]
    page = page_of(request, burn_ups(user, team=team), size=TEAMS_AT_ONCE)
    return render(
        request,
        "overview/burn_up.html",
        {
            "page": page,
            "charts": [(each, draw(each)) for each in page],
            "team": team,
            "teams": service_selectors.teams_with_services(user),
        },
    )
