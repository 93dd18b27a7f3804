"""A look into a cluster: what runs there becomes a service, or is linked to one."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from core import policies
from core import selectors as core_selectors
from core.errors import ClusterRefused, ClusterUnreachable, Conflict, Invalid
from core.ui.requests import person
from migrator.choices import WorkloadKind
from migrator.operations import services as verbs
from migrator.operations.discovery import ROUTE, FoundRow, discover
from migrator.selectors import services as selectors

_KINDS = (*WorkloadKind.values, ROUTE)


@require_GET
def choose_cluster(request: HttpRequest) -> HttpResponse:
    user = person(request)
    policies.require_keep_some_services(user)
    clusters = list(selectors.clusters_to_choose(user).select_related("team"))
    return render(request, "services/discover.html", {"clusters": clusters})


@require_GET
def look(request: HttpRequest, cluster_slug: str) -> HttpResponse:
    """What runs in the cluster now. One that does not answer is told on the page."""
    user = person(request)
    cluster = core_selectors.cluster_named(user, cluster_slug)
    everything = request.GET.get("system") == "yes"
    problem, rows, gaps = "", [], []
    try:
        found = discover(actor=user, cluster=cluster)
    except (ClusterRefused, ClusterUnreachable) as error:
        problem = error.message
    else:
        rows, gaps = found.rows, found.gaps
    shown = [row for row in rows if everything or not row.system]
    return render(
        request,
        "services/discovered.html",
        {
            "cluster": cluster,
            "problem": problem,
            "gaps": gaps,
            "rows": [(row, _create(cluster.slug, row), _query(row)) for row in shown],
            "hidden": len(rows) - len(shown),
            "everything": everything,
        },
        status=502 if problem else 200,
    )


@require_http_methods(["GET", "POST"])
def link(request: HttpRequest, cluster_slug: str) -> HttpResponse:
    """Choose the service that a found object is (`?kind=…&namespace=…&name=…`); POST links it."""
    user = person(request)
    cluster = core_selectors.cluster_named(user, cluster_slug)
    policies.require_keep_some_services(user)
    found = {
        name: request.GET.get(name, "").replace("\x00", "")[:253]
        for name in ("kind", "namespace", "name")
    }
    error, typed = "", request.POST.get("service", "").replace("\x00", "")[:80]
    if found["kind"] not in _KINDS:
        messages.error(request, "Choose a workload or a route from the list first.")
        return redirect("discover_cluster", cluster.slug)
    if request.method == "POST":
        service = selectors.called(user, typed)
        if service is None:
            error = (
                f"There is no service “{typed}” among those that you may see. Choose one of the "
                "names that are offered, or create it."
            )
        else:
            is_route = found["kind"] == ROUTE
            try:
                verbs.link_service(
                    actor=user,
                    service=service,
                    cluster=cluster,
                    namespace=found["namespace"],
                    workload_kind="" if is_route else found["kind"],
                    workload="" if is_route else found["name"],
                    route=found["name"] if is_route else "",
                )
            except (Invalid, Conflict) as refusal:
                error = refusal.message
            else:
                messages.success(
                    request, f"{found['kind']} {found['name']} is {service.name}'s from now on."
                )
                return redirect("service", service.slug)
    return render(
        request,
        "services/link.html",
        {
            "cluster": cluster,
            "found": found,
            "error": error,
            "typed": typed,
            "like": selectors.like(user, found["name"], most=8),
        },
        status=422 if error else 200,
    )


def _create(cluster_slug: str, row: FoundRow) -> str:
    """The form of a new service, with what was found filled in."""
    found = row.found
    given = {"name": found.name, "cluster": cluster_slug, "namespace": found.namespace}
    if row.is_route:
        given["route"] = found.name
    else:
        given |= {"workload_kind": found.kind, "workload": found.name, "route": row.route}
    return f"{reverse('new_service')}?{urlencode(given)}"


def _query(row: FoundRow) -> str:
    found = row.found
    return urlencode({"kind": found.kind, "namespace": found.namespace, "name": found.name})
