"""Services: what is migrated, where it runs today and where it will."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from core import policies
from core import selectors as core_selectors
from core.ui.paging import page_of
from core.ui.requests import person
from migrator.choices import Health, Standing, Tier
from migrator.plan_policies import may_plan
from migrator.selectors import graph, plans, waves
from migrator.selectors import services as selectors
from migrator.selectors.services import LACKS, Wanted

if TYPE_CHECKING:
    from django.core.paginator import Page

    from migrator.models import Service

_FILTERS = ("text", "team", "tier", "cluster", "tag", "lacks", "stage", "health", "wave")


def wanted_of(request: HttpRequest) -> Wanted:
    """What the address asks for. What nobody can look for is no error: it finds nothing."""
    given = {name: request.GET.get(name, "").strip()[:200] for name in _FILTERS}
    # PostgreSQL takes no NUL in a text.
    return Wanted(**{name: value.replace("\x00", "") for name, value in given.items()})


@require_GET
def services(request: HttpRequest) -> HttpResponse:
    """All that the person may see, searched and filtered, a page at a time."""
    user = person(request)
    wanted = wanted_of(request)
    page: Page[Service] = page_of(request, selectors.services(user, wanted))
    chosen = {name: value for name, value in vars(wanted).items() if value}
    return render(
        request,
        "services/list.html",
        {
            "page": page,
            "rows": [(each, selectors.lacks_of(each)) for each in page],
            "wanted": wanted,
            "query": urlencode(chosen),
            "teams": selectors.teams_with_services(user),
            "clusters": selectors.clusters_with_services(user),
            "tags": selectors.tags_in_use(user),
            "tiers": Tier.choices,
            "stages": Standing.choices,
            "healths": Health.choices,
            "waves": waves.current(user),
            "lacks": [(key, words) for key, (words, _q) in LACKS.items()],
            "can_write": core_selectors.teams_that_keep_services(user).exists(),
        },
    )


@require_GET
def service(request: HttpRequest, slug: str) -> HttpResponse:
    user = person(request)
    found = selectors.service_named(user, slug)
    return render(
        request,
        "services/service.html",
        {
            "service": found,
            "cluster_visible": selectors.may_see_cluster(user, found),
            "can_write": policies.may_keep_services(user, found.team),
            "lacks": selectors.lacks_of(found),
            "plans": plans.plans_of(user, found),
            "can_plan": may_plan(user, found),
            "needs": selectors.needs_of(user, found),
            "needed_by": selectors.needed_by(user, found),
            "cycle": graph.cycle_through(user, found),
            "history": selectors.history(found),
        },
    )
