"""Plans: the list, one with its steps and its rope, and making one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from core import policies as core_policies
from core import selectors as core_selectors
from core.errors import Conflict, Invalid, NotFound
from core.ui.paging import page_of
from core.ui.requests import attempt, person
from migrator import plan_policies as policies
from migrator.operations import plans as verbs
from migrator.operations.drafts import names_of
from migrator.operations.retreats import roll_back
from migrator.operations.ropes import check_rope
from migrator.runners.registry import RUNNERS
from migrator.selectors import plans as selectors
from migrator.selectors import services as service_selectors
from migrator.selectors import templates as template_selectors

if TYPE_CHECKING:
    from django.core.paginator import Page

    from core.models import User
    from migrator.models import Plan


@require_GET
def plans(request: HttpRequest) -> HttpResponse:
    found: Page[Plan] = page_of(request, selectors.plans(person(request)))
    return render(request, "plans/list.html", {"page": found, "plans": selectors.under_way(found)})


@require_GET
def plan(request: HttpRequest, plan_id: int) -> HttpResponse:
    user = person(request)
    found = selectors.plan_with_id(user, plan_id)
    return render(request, "plans/plan.html", _live(user, found))


@require_GET
@never_cache
def plan_live(request: HttpRequest, plan_id: int) -> HttpResponse:
    """What changes while a step is under way; it asks for itself again until none is."""
    user = person(request)
    found = selectors.plan_with_id(user, plan_id)
    return render(request, "plans/_live.html", {**_live(user, found), "swap": True})


@require_http_methods(["GET", "POST"])
def new_plan(request: HttpRequest, slug: str) -> HttpResponse:
    """A plan for a service: on which cluster, and by which template."""
    user = person(request)
    service = service_selectors.service_named(user, slug)
    clusters = list(core_selectors.clusters(user))
    begins = service.cluster.slug if service.cluster else ""
    cluster_slug = request.POST.get("cluster") or request.GET.get("cluster", begins)
    template_slug = request.POST.get("template") or request.GET.get("template", "")
    error = ""
    chosen = next((each for each in clusters if each.slug == cluster_slug), None)
    if request.method == "POST" or chosen is not None:
        policies.require_plan_for(user, service, chosen or _any(clusters))
    else:
        policies.require_plan_for(user, service, _any(clusters))
    if request.method == "POST":
        if chosen is None:
            error = "Choose the cluster that this plan goes to."
        else:
            try:
                made = verbs.create_plan(
                    actor=user,
                    service=service,
                    cluster=chosen,
                    template=template_selectors.newest_of(template_slug),
                )
            except (Conflict, Invalid) as refusal:
                error = refusal.message
            else:
                return redirect("plan", made.pk)
    return render(
        request,
        "plans/new.html",
        {
            "service": service,
            "names": names_of(service),
            "lacks": service_selectors.lacks_of(service),
            "can_write": core_policies.may_keep_services(user, service.team),
            "clusters": clusters,
            "cluster": cluster_slug,
            "templates": template_selectors.in_use(),
            "template": template_slug,
            "error": error,
        },
        status=422 if error else 200,
    )


@require_http_methods(["GET", "POST"])
def clone_plan(request: HttpRequest, plan_id: int) -> HttpResponse:
    """The same steps for another service, or another cluster."""
    user = person(request)
    found = selectors.plan_with_id(user, plan_id)
    policies.require_plan_for(user, found.service, found.cluster)
    clusters = list(core_selectors.clusters(user))
    wanted = request.POST.get("service", found.service.name).replace("\x00", "").strip()[:80]
    where = request.POST.get("cluster", "")
    error = ""
    if request.method == "POST":
        service = service_selectors.focused(user, wanted)
        cluster = next((each for each in clusters if each.slug == where), None)
        if service is None or not policies.may_plan(user, service):
            error = (
                f"There is no service “{wanted}” whose plans you make. Choose one of the names "
                "that are offered, of a team that you lead."
            )
        elif cluster is None:
            error = "Choose the cluster that the copy is for."
        else:
            try:
                made = verbs.clone_plan(actor=user, plan=found, service=service, cluster=cluster)
            except (Conflict, Invalid) as refusal:
                error = refusal.message
            else:
                return redirect("plan", made.pk)
    context = {
        "plan": found,
        "clusters": clusters,
        "service": wanted,
        "cluster": where,
        "error": error,
    }
    return render(request, "plans/clone.html", context, status=422 if error else 200)


@require_POST
def archive(request: HttpRequest, plan_id: int) -> HttpResponse:
    user = person(request)
    found = selectors.plan_with_id(user, plan_id)
    done = "Archived. Its history stays readable."
    attempt(request, lambda: verbs.archive_plan(actor=user, plan=found), done)
    return redirect("plan", plan_id)


@require_POST
def go_back(request: HttpRequest, plan_id: int) -> HttpResponse:
    """Back to here, or to the original state: in reverse order, until one fails."""
    user = person(request)
    found = selectors.plan_with_id(user, plan_id)
    given = request.POST.get("down_to", "")
    down_to = int(given) if given.isdecimal() and len(given) <= 4 else -1
    reason = request.POST.get("reason", "")
    attempt(
        request,
        lambda: roll_back(actor=user, plan=found, down_to=down_to, reason=reason),
        "On the way back, one step after the other.",
    )
    return redirect("plan", plan_id)


@require_POST
def check_the_rope(request: HttpRequest, plan_id: int) -> HttpResponse:
    user = person(request)
    found = selectors.plan_with_id(user, plan_id)
    seen = attempt(request, lambda: check_rope(actor=user, plan=found))
    if seen is None:
        messages.info(request, "A worker was asked to look; what it sees stands here in a moment.")
    return redirect("plan", plan_id)


def _any(clusters: list[Any]) -> Any:
    if not clusters:
        raise NotFound("You see no cluster that a plan could go to.")
    return clusters[0]


def _live(user: User, found: Plan) -> dict[str, Any]:
    view = selectors.plan_view(found)
    return {
        "plan": found,
        "view": view,
        "overrides": selectors.open_overrides(view.steps),
        "kinds": [(key, runner) for key, runner in RUNNERS.items()],
        "can_run": found.archived_at is None and policies.may_run(user, found),
        "can_lead": found.archived_at is None and policies.may_lead(user, found),
    }
