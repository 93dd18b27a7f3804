"""Services: what is migrated, where it runs today and where it will."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from core.choices import Role
from core.policies import may_see
from core.ui.requests import person
from migrator.plan_policies import role_for
from migrator.selectors import plans
from migrator.selectors import services as selectors


@require_GET
def services(request: HttpRequest) -> HttpResponse:
    return render(request, "services/list.html", {"services": selectors.services(person(request))})


@require_GET
def service(request: HttpRequest, slug: str) -> HttpResponse:
    user = person(request)
    found = selectors.service_named(user, slug)
    # A service may stand on another team's cluster: its name is told, its page is not.
    visible = found.cluster is not None and may_see(user, found.cluster)
    context = {
        "service": found,
        "cluster_visible": visible,
        "plans": plans.plans(user).filter(service=found),
        "can_plan": role_for(user, found.team_id) == Role.LEAD,
    }
    return render(request, "services/service.html", context)
