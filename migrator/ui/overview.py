"""The first page of migrations: the board, what is blocked by what, and what waits for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from core import selectors as core_selectors
from core.ui.paging import page_of
from core.ui.requests import person
from migrator.choices import Tier
from migrator.selectors import causes as cause_selectors
from migrator.selectors import needs as need_selectors
from migrator.selectors import overview as selectors
from migrator.selectors import services as service_selectors
from migrator.selectors import waves as wave_selectors
from migrator.selectors.services import Wanted
from migrator.selectors.standings import STOP
from migrator.ui.timeline_svg import draw

if TYPE_CHECKING:
    from django.core.paginator import Page

    from core.models import User
    from migrator.models import Hold, Service

_CAUSES = 6


def wanted_of(request: HttpRequest) -> Wanted:
    """The filters of the board, as the address gives them."""
    given = {
        name: request.GET.get(name, "").strip()[:200].replace("\x00", "")
        for name in selectors.FILTERS
    }
    return Wanted(**given)


def filters(user: User, wanted: Wanted) -> dict[str, Any]:
    """What the form of the filters needs, on every page that has one."""
    return {
        "wanted": wanted,
        "query": urlencode({name: value for name, value in vars(wanted).items() if value}),
        "teams": service_selectors.teams_with_services(user),
        "clusters": service_selectors.clusters_with_services(user),
        "tags": service_selectors.tags_in_use(user),
        "tiers": Tier.choices,
        "waves_offered": wave_selectors.current(user),
    }


@require_GET
def overview(request: HttpRequest) -> HttpResponse:
    user = person(request)
    wanted = wanted_of(request)
    waves = wave_selectors.waves(user)
    return render(
        request,
        "overview/overview.html",
        {
            **filters(user, wanted),
            "waves_offered": [each.wave for each in waves],
            "waves": waves,
            "timeline": draw(waves),
            "board": selectors.board(user, wanted),
            "causes": cause_selectors.worst_causes(user, wanted, _CAUSES),
            "needs": need_selectors.step_needs(user),
        },
    )


@require_GET
def blocked(request: HttpRequest) -> HttpResponse:
    """What holds services back, what holds most first; or, with `?code=`, everything that one
    cause holds."""
    user = person(request)
    wanted = wanted_of(request)
    code = request.GET.get("code", "").replace("\x00", "")[:60]
    subject = request.GET.get("subject", "").replace("\x00", "")[:80]
    context = filters(user, wanted)
    if code == STOP:
        found: Page[Service] = page_of(request, cause_selectors.stopped_services(user, wanted))
        context |= {"stop": core_selectors.current_stop(), "services": found}
    elif code:
        held = cause_selectors.held_by(user, wanted, code=code, subject=subject)
        holds: Page[Hold] = page_of(request, held)
        context |= {"code": code, "holds": holds}
    else:
        page: Page[Any] = page_of(request, cause_selectors.causes(user, wanted))
        stop = cause_selectors.stopped(user, wanted, core_selectors.current_stop())
        context |= {
            "page": page,
            "stopped": stop,
            "causes": cause_selectors.as_causes(page),
        }
    return render(request, "overview/blocked.html", context)
