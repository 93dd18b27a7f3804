"""Clusters: stage, nodes, guards, probes, and how to register one."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from core import selectors as core_selectors
from core.qa_marker import MARKER_NAME, MARKER_NAMESPACE
from core.ui.requests import person
from gamedays.selectors import clusters as selectors
from gamedays.selectors.week import missing_for


@require_GET
def clusters(request: HttpRequest) -> HttpResponse:
    user = person(request)
    return render(
        request,
        "clusters/list.html",
        {
            "cards": selectors.cluster_cards(user),
            "setups": core_selectors.setups_in_progress(user),
            "is_owner": user.is_superuser,
            "embedded": settings.BELAY_EMBEDDED_DATABASE,
            "marker": {"name": MARKER_NAME, "namespace": MARKER_NAMESPACE},
        },
    )


@require_GET
def cluster(request: HttpRequest, slug: str) -> HttpResponse:
    card = selectors.cluster_card(person(request), slug)
    return render(
        request,
        "clusters/cluster.html",
        {
            "card": card,
            "cluster": card.cluster,
            "missing": missing_for(card.cluster),
            "runs": selectors.newest_runs(card.cluster),
            "marker": {"name": MARKER_NAME, "namespace": MARKER_NAMESPACE},
        },
    )
