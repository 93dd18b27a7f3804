"""What holds steps back, or lets them count: freezes, a cluster's Envoys, what a rehearsal is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from core import policies as core_policies
from core import selectors as core_selectors
from core.choices import Role
from core.errors import Invalid, NotFound
from core.models import Cluster, User
from core.ui.requests import attempt, person
from core.ui.timezone import zone_or_utc
from migrator.choices import Tier
from migrator.models import EnvoyListeners, FreezeWindow, RehearsalPolicy
from migrator.operations import overrides as verbs
from migrator.operations.rehearsals import set_rehearsal_policy


@require_http_methods(["GET", "POST"])
def freezes(request: HttpRequest) -> HttpResponse:
    """All freezes of clusters that the person sees, and a form to declare one."""
    user = person(request)
    errors: Mapping[str, str] = {}
    if request.method == "POST":
        cluster = core_selectors.cluster_named(user, request.POST.get("cluster", ""))
        core_policies.require_book(user, cluster)
        try:
            verbs.declare_freeze(
                actor=user,
                cluster=cluster,
                starts_at=_moment(request, user, "starts"),
                ends_at=_moment(request, user, "ends"),
                why=request.POST.get("why", ""),
            )
        except Invalid as error:
            errors = error.errors or {"top": error.message}
        else:
            return redirect("freezes")
    found = (
        FreezeWindow.objects.filter(cluster__in=Cluster.objects.visible_to(user))
        .select_related("cluster", "declared_by", "lifted_by")
        .order_by("-starts_at")[:100]
    )
    context = {
        "freezes": found,
        "clusters": _led(user),
        "typed": request.POST,
        "errors": errors,
        "now": timezone.now(),
    }
    return render(request, "plans/freezes.html", context, status=422 if errors else 200)


@require_POST
def lift_freeze(request: HttpRequest, freeze_id: int) -> HttpResponse:
    user = person(request)
    found = (
        FreezeWindow.objects.filter(cluster__in=Cluster.objects.visible_to(user))
        .select_related("cluster__team")
        .filter(pk=freeze_id)
        .first()
    )
    if found is None:
        raise NotFound("There is no such freeze among those that you may see.")
    attempt(request, lambda: verbs.lift_freeze(actor=user, freeze=found), "Lifted.")
    return redirect("freezes")


@require_http_methods(["GET", "POST"])
def envoys(request: HttpRequest, slug: str) -> HttpResponse:
    """Where every Envoy of the cluster tells its figures."""
    user = person(request)
    cluster = core_selectors.cluster_named(user, slug)
    core_policies.require_book(user, cluster)
    listeners = EnvoyListeners.objects.filter(cluster=cluster).first()
    typed = "\n".join(listeners.urls) if listeners else ""
    error = ""
    if request.method == "POST":
        typed = request.POST.get("urls", "")
        try:
            verbs.name_envoys(actor=user, cluster=cluster, urls=typed.splitlines())
        except Invalid as refusal:
            error = refusal.message
        else:
            return redirect("cluster", slug)
    context = {"cluster": cluster, "typed": typed, "error": error}
    return render(request, "plans/envoys.html", context, status=422 if error else 200)


@require_http_methods(["GET", "POST"])
def rehearsal_policy(request: HttpRequest) -> HttpResponse:
    """What counts as a rehearsal, for services of each tier. Everybody may read it."""
    user = person(request)
    errors: Mapping[str, str] = {}
    if request.method == "POST":
        try:
            set_rehearsal_policy(
                actor=user,
                tier=_whole(request.POST.get("tier", "")),
                days=_whole(request.POST.get("days", "")) or 0,
                real_route="real_route" in request.POST,
                stand_in="stand_in" in request.POST,
                walked_through="walked_through" in request.POST,
                capacity_days=_whole(request.POST.get("capacity_days", "90")) or 0,
            )
        except Invalid as error:
            errors = error.errors or {"top": error.message}
        else:
            return redirect("rehearsal_policy")
    found = list(RehearsalPolicy.objects.select_related("set_by"))
    if not any(each.tier is None for each in found):
        found.insert(0, RehearsalPolicy())
    context = {
        "policies": found,
        "typed": request.POST,
        "errors": errors,
        "tiers": Tier.choices,
        "can_set": core_policies.is_owner(user),
    }
    return render(request, "plans/policy.html", context, status=422 if errors else 200)


def _whole(text: str) -> int | None:
    """None where nothing was chosen; what is no number is one that no list has."""
    if not text.strip():
        return None
    return int(text) if text.isdecimal() and len(text) < 6 else -1


def _led(user: User) -> list[Cluster]:
    """Clusters of teams that the person leads."""
    roles = core_selectors.roles_by_team(user)
    return [
        each
        for each in core_selectors.clusters(user)
        if core_selectors.role_in(user, roles, each) == Role.LEAD
    ]


def _moment(request: HttpRequest, user: User, name: str) -> dt.datetime:
    """A date and a time in the person's zone."""
    text = f"{request.POST.get(f'{name}_date', '')}T{request.POST.get(f'{name}_time', '')}"
    try:
        return dt.datetime.fromisoformat(text).replace(tzinfo=zone_or_utc(user.time_zone))
    except (ValueError, OverflowError):
        raise Invalid(
            f"{name.capitalize()}: give a date and a time, like 2026-03-01 and 14:00.", field=name
        ) from None
