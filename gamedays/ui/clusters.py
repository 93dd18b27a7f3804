"""Clusters: stage, nodes, guards, probes, and how to register one."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from core import selectors as core_selectors
from core.policies import is_owner, may_book, may_run
from core.qa_marker import MARKER_NAME, MARKER_NAMESPACE
from core.ui.paging import page_of
from core.ui.requests import person
from gamedays.operations import guards as guard_verbs
from gamedays.selectors import clusters as selectors
from gamedays.selectors.probes import lacks_metrics, metrics_source, probe_list
from gamedays.selectors.week import missing_for

_RUNS = 8


@require_GET
def clusters(request: HttpRequest) -> HttpResponse:
    user = person(request)
    return render(
        request,
        "clusters/list.html",
        {
            "cards": selectors.cluster_cards(user),
            "setups": core_selectors.setups_in_progress(user),
            "is_owner": (owner := is_owner(user)),
            "owner": user.username if owner else "",
            "embedded": settings.BELAY_EMBEDDED_DATABASE,
        },
    )


@require_GET
def cluster(request: HttpRequest, slug: str) -> HttpResponse:
    user = person(request)
    card = selectors.cluster_card(user, slug)
    probes = probe_list(card.probes)
    return render(
        request,
        "clusters/cluster.html",
        {
            "card": card,
            "cluster": card.cluster,
            "missing": missing_for(card.cluster),
            "can_look": may_run(user, card.cluster) and card.guarded,
            "can_run": may_run(user, card.cluster),
            "can_book": may_book(user, card.cluster),
            "probe_list": probes,
            "own_probes": page_of(request, probes.own, param="probes"),
            "metrics_source": metrics_source(card.cluster),
            "lacks_metrics": lacks_metrics(card.cluster, card.probes),
            "bundle": selectors.newest_bundle(card.cluster) if card.guarded else None,
            "is_owner": is_owner(user),
            "runs": page_of(request, selectors.newest_runs(card.cluster), param="runs", size=_RUNS),
            "marker": {"name": MARKER_NAME, "namespace": MARKER_NAMESPACE},
        },
    )


@require_POST
def look_at_guards(request: HttpRequest, slug: str) -> HttpResponse:
    """Ask every guard now, and tell which of them answered."""
    user = person(request)
    found = core_selectors.cluster_named(user, slug)
    for view in guard_verbs.ask_guards(actor=user, cluster=found):
        if view.hello is None:
            messages.error(request, f"The guard on {view.guard.node.name}: {view.error}")
        else:
            messages.success(request, f"The guard on {view.guard.node.name} answered.")
    return redirect("cluster", slug)
