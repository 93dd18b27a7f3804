"""Which scenarios have to have held on a cluster before migration steps go ahead."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from core import policies
from core import selectors as core_selectors
from core.errors import Invalid
from core.ui.requests import person
from gamedays.models import RequiredProof
from gamedays.operations.proofs import require_proofs
from gamedays.scenarios.registry import all_scenarios


@require_http_methods(["GET", "POST"])
def required_proofs(request: HttpRequest, slug: str) -> HttpResponse:
    user = person(request)
    cluster = core_selectors.cluster_named(user, slug)
    policies.require_book(user, cluster)
    rows = RequiredProof.objects.filter(cluster=cluster).values_list("scenario_key", "weeks")
    typed: dict[str, str] = {key: str(weeks) for key, weeks in rows}
    errors: Mapping[str, str] = {}
    if request.method == "POST":
        typed = {each.key: request.POST.get(each.key, "") for each in all_scenarios()}
        try:
            require_proofs(actor=user, cluster=cluster, weeks=typed)
        except Invalid as error:
            errors = error.errors
        else:
            messages.success(request, "Saved. Steps are held back by what is missing.")
            return redirect("cluster", slug)
    context = {
        "cluster": cluster,
        "rows": [
            (each, typed.get(each.key, ""), errors.get(each.key, "")) for each in all_scenarios()
        ],
    }
    return render(request, "clusters/proofs.html", context, status=422 if errors else 200)
