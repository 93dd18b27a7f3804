"""Services: what is migrated, where it runs today and where it will."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
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
    from collections.abc import Iterable

    from django.core.paginator import Page

    from migrator.models import Dependency, Service

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
    page, rows = _page_of(request, wanted)
    chosen = {name: value for name, value in vars(wanted).items() if value}
    return render(
        request,
        "services/list.html",
        {
            "page": page,
            "rows": [(each, selectors.lacks_of(each)) for each in rows],
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


def _page_of(request: HttpRequest, wanted: Wanted) -> tuple[Page[Any], Iterable[Service]]:
    user = person(request)
    found = selectors.services(user, wanted)
    if not wanted.text:
        page: Page[Service] = page_of(request, found)
        return page, page
    # Words are looked for in every row, which costs the most: once, for the count and the page.
    keys: Page[int] = page_of(request, list(found.values_list("pk", flat=True)))
    return keys, selectors.services(user).filter(pk__in=list(keys))


@require_GET
def service(request: HttpRequest, slug: str) -> HttpResponse:
    user = person(request)
    found = selectors.service_named(user, slug)
    needed_by: Page[Dependency] = page_of(request, selectors.needed_by(found), param="needed")
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
            "needed_page": needed_by,
            "needed_by": selectors.who_needs(user, needed_by),
            "cycle": graph.cycle_through(user, found),
            "history": selectors.history(found),
        },
    )
