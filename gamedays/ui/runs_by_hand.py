"""A stuck fault: what is known, what to check, what the guards say, and the signature."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from core.errors import Invalid
from core.policies import may_book
from core.ui.requests import person
from gamedays.choices import BY_HAND_WHERE_STUCK
from gamedays.operations.by_hand import ask_about, resolve_by_hand
from gamedays.selectors import runs as selectors
from gamedays.selectors.stuck import checks_not_passed, to_check
from gamedays.selectors.words import scenario_title

if TYPE_CHECKING:
    from core.models import User
    from gamedays.drivers.fleet import NodeStatus, Reply
    from gamedays.models import Injection


class ByHandForm(forms.Form):
    reason = forms.CharField(
        label="What was done, and why Belay could not prove it",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "form-control"}),
    )
    seen = forms.CharField(
        label="What you looked at, and what it showed",
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "class": "form-control"}),
    )


@dataclass(frozen=True, slots=True)
class GuardSays:
    """One guard's answer in words. `state` is a key of the marks."""

    node: str
    state: str
    text: str


@never_cache
@require_http_methods(["GET", "POST"])
def by_hand(request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
    """The page asks the guards afresh each time that it is opened; nobody signs from memory."""
    user = person(request)
    run = selectors.run_with_id(user, run_id)
    form = ByHandForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            resolve_by_hand(actor=user, injection=run, **form.cleaned_data)
        except Invalid as error:
            for field, message in error.errors.items():
                form.add_error(field, message)
        else:
            messages.success(request, "Written down with your name. The cluster is free again.")
            return redirect("run", run_id)
    stuck = run.state in BY_HAND_WHERE_STUCK
    return render(
        request,
        "runs/by_hand.html",
        {
            "run": run,
            "title": scenario_title(run.scenario_key),
            "stuck": stuck,
            "may_sign": may_book(user, run.cluster),
            "form": form,
            "not_passed": checks_not_passed(run),
            "to_check": to_check(run),
            "guards": _guards(user, run) if stuck else [],
        },
        status=422 if form.errors else 200,
    )


def _guards(user: User, run: Injection) -> list[GuardSays]:
    said = ask_about(actor=user, injection=run)
    return [_says(run, node, reply) for node, reply in sorted(said.items())]


def _says(run: Injection, node: str, reply: Reply[NodeStatus]) -> GuardSays:
    if reply.value is None:
        return GuardSays(node, "unknown", f"{reply.error}.")
    order = reply.value.order
    if order is None or order.order_id != str(run.pk):
        return GuardSays(node, "unknown", "It knows nothing of this fault.")
    done = order.phase == "undone"
    tried = f" after {order.undo_attempts} attempts" if order.undo_attempts else ""
    text = f"{order.phase.capitalize()}{'' if done else tried}. {order.detail}".strip()
    return GuardSays(node, "confirmed" if done else "undo_stuck", text)
