"""Making and changing a service: its form, its capacity's confirmation, what it needs."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from core import policies
from core.errors import Conflict, Invalid
from core.ui.requests import attempt, person
from migrator.operations import dependencies
from migrator.operations import services as verbs
from migrator.selectors import graph
from migrator.selectors import services as selectors
from migrator.ui.service_form import ServiceForm


@require_http_methods(["GET", "POST"])
def new_service(request: HttpRequest) -> HttpResponse:
    """An empty form; a look into a cluster fills in what it found (`?workload=…`)."""
    user = person(request)
    policies.require_keep_some_services(user)
    if request.method == "GET":
        return _page(request, ServiceForm.fresh(user, request.GET.dict()))
    form = ServiceForm.posted(user, request.POST.dict())
    try:
        made = verbs.create_service(
            actor=user, team=form.team, cluster=form.cluster, given=form.given
        )
    except (Invalid, Conflict) as error:
        form.take(error)
        return _page(request, form, status=422)
    messages.success(request, f"{made.name} is in the inventory.")
    return redirect("service", made.slug)


@require_http_methods(["GET", "POST"])
def edit_service(request: HttpRequest, slug: str) -> HttpResponse:
    """The service's form. One that moved on meanwhile is told, and nothing typed is lost."""
    user = person(request)
    found = selectors.service_named(user, slug)
    policies.require_keep_services(user, found.team)
    if request.method == "GET":
        return _page(request, ServiceForm.of(user, found))
    form = ServiceForm.posted(user, request.POST.dict(), found)
    try:
        verbs.edit_service(
            actor=user,
            service=found,
            version=form.version,
            team=form.team,
            cluster=form.cluster,
            given=form.given,
        )
    except Invalid as error:
        form.take(error)
        return _page(request, form, status=422)
    except Conflict as error:
        form.take_conflict(error, selectors.service_named(user, slug))
        return _page(request, form, status=409)
    messages.success(request, "Saved.")
    return redirect("service", found.slug)


@require_POST
def confirm_capacity(request: HttpRequest, slug: str) -> HttpResponse:
    user = person(request)
    found = selectors.service_named(user, slug)
    version = request.POST.get("version", "")
    seen = int(version) if version.isdecimal() and len(version) < 9 else 0
    attempt(
        request,
        lambda: verbs.confirm_capacity(actor=user, service=found, version=seen),
        f"Confirmed: the legacy half of {found.name} can carry {found.capacity}.",
    )
    return redirect("service", found.slug)


@require_POST
def add_dependency(request: HttpRequest, slug: str) -> HttpResponse:
    user = person(request)
    found = selectors.service_named(user, slug)
    policies.require_keep_services(user, found.team)
    name = request.POST.get("needs", "").replace("\x00", "")[:200]
    needs = selectors.called(user, name)
    if needs is None:
        messages.error(
            request,
            f"There is no service “{name}” among those that you may see; nothing was added. "
            "Choose one of the names that are offered.",
        )
    elif attempt(
        request, lambda: dependencies.add_dependency(actor=user, service=found, needs=needs)
    ):
        cycle = graph.cycle_through(user, found)
        if cycle:
            messages.warning(request, f"Added. It closes a cycle: {cycle}.")
        else:
            messages.success(request, f"{found.name} needs {needs.name}.")
    return redirect(reverse("service", args=[found.slug]) + "#dependencies")


@require_POST
def remove_dependency(request: HttpRequest, slug: str) -> HttpResponse:
    user = person(request)
    found = selectors.service_named(user, slug)
    needs_id = request.POST.get("needs", "")
    number = int(needs_id) if needs_id.isdecimal() and len(needs_id) < 18 else 0
    dependencies.remove_dependency(actor=user, service=found, needs_id=number)
    messages.success(request, "Removed.")
    return redirect(reverse("service", args=[found.slug]) + "#dependencies")


@require_GET
def service_names(request: HttpRequest) -> HttpResponse:
    """Names to offer in a field, as the options of its list."""
    user = person(request)
    typed = (request.GET.get(name) for name in ("needs", "focus", "service"))
    text = next((each for each in typed if each is not None), "").replace("\x00", "")[:80]
    return render(request, "services/_names.html", {"names": selectors.like(user, text)})


def _page(request: HttpRequest, form: ServiceForm, status: int = 200) -> HttpResponse:
    return render(request, "services/edit.html", {"form": form}, status=status)
