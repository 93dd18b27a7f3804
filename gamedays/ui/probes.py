"""Probes of a cluster: made, changed, switched and tried; and where its metrics are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from core import policies
from core import selectors as core_selectors
from core.errors import Conflict, Invalid
from core.ui.requests import attempt, is_fragment, person
from core.ui.shown import Shown
from gamedays.choices import ProbeKind
from gamedays.operations import metrics as metrics_verbs
from gamedays.operations import probe_editing as verbs
from gamedays.operations import probe_trials as trials
from gamedays.operations.probe_drafts import ProbeDraft
from gamedays.probes.registry import BY_HAND
from gamedays.selectors import probes as selectors
from gamedays.ui.probe_form import ProbeForm

if TYPE_CHECKING:
    from core.models import Cluster, User
    from gamedays.models import Probe


@require_http_methods(["GET", "POST"])
def new_probe(request: HttpRequest, slug: str) -> HttpResponse:
    """Choose a kind, then fill in its form (`?kind=…`); POST tries it, or adds it."""
    user = person(request)
    cluster = core_selectors.cluster_named(user, slug)
    policies.require_run(user, cluster)
    kind = request.GET.get("kind", "")
    if kind not in BY_HAND:
        kinds = [(key, ProbeKind(key).label, each) for key, each in BY_HAND.items()]
        return render(request, "probes/choose.html", {"cluster": cluster, "kinds": kinds})
    if request.method == "GET":
        return _page(request, cluster, ProbeForm.fresh(kind))
    form = ProbeForm.posted(kind, request.POST.dict())
    if "try" in request.POST:
        return _page(request, cluster, _tried(user, cluster, form))
    try:
        probe = verbs.create_probe(actor=user, cluster=cluster, draft=form.draft)
    except (Invalid, Conflict) as error:
        form.take(error)
        return _page(request, cluster, form, status=422)
    messages.success(request, f"“{probe.title}” looks at {cluster.name} from now on.")
    return redirect(_list_of(cluster))


@require_http_methods(["GET", "POST"])
def edit_probe(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    user = person(request)
    probe = selectors.probe_named(user, slug, key)
    cluster = probe.cluster
    policies.require_run(user, cluster)
    if request.method == "GET":
        return _page(request, cluster, ProbeForm.of(probe), probe)
    form = ProbeForm.posted(probe.kind, request.POST.dict())
    if "try" in request.POST:
        return _page(request, cluster, _tried(user, cluster, form, probe), probe)
    try:
        verbs.edit_probe(actor=user, probe=probe, version=form.version, draft=form.draft)
    except (Invalid, Conflict) as error:
        form.take(error)
        return _page(request, cluster, form, probe, status=422)
    messages.success(request, "Saved.")
    return redirect(_list_of(cluster))


@require_POST
def switch_probe(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """Switch a probe on (`to=on`) or off."""
    user = person(request)
    probe = selectors.probe_named(user, slug, key)
    on = request.POST.get("to") == "on"
    attempt(
        request,
        lambda: verbs.set_probe_enabled(actor=user, probe=probe, enabled=on),
        f"“{probe.title}” is {'on' if on else 'off'}.",
    )
    return redirect(_list_of(probe.cluster))


@require_POST
def try_probe(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """One look now. A fragment for the list; without JavaScript, the probe's own page shows it."""
    user = person(request)
    probe = selectors.probe_named(user, slug, key)
    trial = trials.try_probe(actor=user, probe=probe)
    if is_fragment(request):
        return render(request, "probes/_trial.html", {"trial": trial})
    form = ProbeForm.of(probe)
    form.trial = trial
    return _page(request, probe.cluster, form, probe)


@require_http_methods(["GET", "POST"])
def metrics(request: HttpRequest, slug: str) -> HttpResponse:
    """Where the cluster's Prometheus is. A lead names it; the token is never shown again."""
    user = person(request)
    cluster = core_selectors.cluster_named(user, slug)
    policies.require_book(user, cluster)
    source = selectors.metrics_source(cluster)
    if request.method == "POST" and "remove" in request.POST:
        metrics_verbs.remove_metrics_source(actor=user, cluster=cluster)
        messages.success(request, "Forgotten, with its token.")
        return redirect(_list_of(cluster))
    stored = {"url": source.url, "ca_pem": source.ca_pem} if source else {}
    typed = request.POST.dict() if request.method == "POST" else stored
    errors: dict[str, str] = {}
    trial = None
    if request.method == "POST":
        try:
            metrics_verbs.set_metrics_source(
                actor=user,
                cluster=cluster,
                url=typed.get("url"),
                ca_pem=typed.get("ca_pem"),
                token=typed.get("token"),
                forget_token="forget_token" in typed,
            )
        except Invalid as error:
            errors = error.errors
        else:
            source = selectors.metrics_source(cluster)
            trial = trials.try_draft(actor=user, cluster=cluster, draft=_ANYTHING)
            typed = typed | {"token": ""}
    return render(
        request,
        "probes/metrics.html",
        {
            "cluster": cluster,
            "source": source,
            "trial": trial,
            "fields": [
                Shown(each, each.name, str(typed.get(each.name, "")), errors.get(each.name, ""))
                for each in metrics_verbs.FIELDS
            ],
        },
        status=422 if errors else 200,
    )


_ANYTHING = ProbeDraft(
    kind=ProbeKind.PROMETHEUS,
    title="Prometheus answers",
    parameters={"query": "vector(1)", "comparison": "equals", "value": "1"},
)
"""A query that every Prometheus answers, whatever it has measured."""


def _tried(user: User, cluster: Cluster, form: ProbeForm, probe: Probe | None = None) -> ProbeForm:
    try:
        if probe is not None and not form.kind.by_hand:
            form.trial = trials.try_probe(actor=user, probe=probe)
        else:
            form.trial = trials.try_draft(actor=user, cluster=cluster, draft=form.draft)
    except Invalid as error:
        form.take(error)
    return form


def _page(
    request: HttpRequest,
    cluster: Cluster,
    form: ProbeForm,
    probe: Probe | None = None,
    status: int = 200,
) -> HttpResponse:
    return render(
        request,
        "probes/edit.html",
        {
            "cluster": cluster,
            "probe": probe,
            "form": form,
            "label": ProbeKind(form.kind_key).label,
            "asks_metrics": form.kind_key in selectors.ASK_METRICS,
            "source": selectors.metrics_source(cluster),
            "may_name_metrics": policies.may_book(person(request), cluster),
        },
        status=status,
    )


def _list_of(cluster: Cluster) -> str:
    return reverse("cluster", args=[cluster.slug]) + "#probes"
