"""One step: its form, and what people press beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from core.choices import Role
from core.errors import Conflict, Invalid
from core.models import Membership, User
from core.ui.requests import attempt, person
from migrator import plan_policies as policies
from migrator.operations import overrides, plan_editing, rehearsals
from migrator.operations import steps as verbs
from migrator.operations.drafts import offered_for
from migrator.runners.registry import RUNNERS
from migrator.selectors import plans as selectors
from migrator.ui.step_form import StepForm

if TYPE_CHECKING:
    from migrator.models import Attempt, Plan, Step


@require_http_methods(["GET", "POST"])
def new_step(request: HttpRequest, plan_id: int) -> HttpResponse:
    """Choose a kind, then fill in its form."""
    user = person(request)
    plan = selectors.plan_with_id(user, plan_id)
    policies.require_run(user, plan)
    kind = request.GET.get("kind", "")
    if kind not in RUNNERS:
        return render(request, "plans/choose.html", {"plan": plan, "kinds": RUNNERS.items()})
    form = StepForm.posted(kind, request.POST) if request.POST else StepForm(kind, {})
    form.owners, form.offered = people_for(plan), offered_for(plan.service)
    if request.method == "POST" and "refresh" not in request.POST:
        draft = form.draft(_owner(form))
        try:
            plan_editing.add_step(actor=user, plan=plan, draft=draft)
        except (Invalid, Conflict) as error:
            form.take(error)
        else:
            messages.success(request, "Added at the end. Move it where it belongs.")
            return redirect("plan", plan_id)
    return _page(request, plan, form)


@require_http_methods(["GET", "POST"])
def edit_step(request: HttpRequest, step_id: int) -> HttpResponse:
    user = person(request)
    step = selectors.step_with_id(user, step_id)
    policies.require_run(user, step.plan)
    form = StepForm.posted(step.kind, request.POST) if request.POST else StepForm.of_step(step)
    form.owners = people_for(step.plan)
    if request.method == "POST" and "refresh" not in request.POST:
        draft = form.draft(_owner(form))
        try:
            plan_editing.edit_step(actor=user, step=step, version=form.version, draft=draft)
        except Invalid as error:
            form.take(error)
        except Conflict as error:
            # What was typed stays; saved once more it replaces what stands there now.
            form.take(error)
            if error.code == "edited_meanwhile":
                form.version = selectors.plan_with_id(user, step.plan_id).version
        else:
            messages.success(request, "Saved.")
            return redirect("plan", step.plan_id)
    return _page(request, step.plan, form, step)


@require_POST
def start(request: HttpRequest, step_id: int) -> HttpResponse:
    return _begin(request, step_id, lambda user, step: verbs.start_step(actor=user, step=step))


@require_POST
def rehearse(request: HttpRequest, step_id: int) -> HttpResponse:
    return _begin(
        request, step_id, lambda user, step: rehearsals.rehearse_step(actor=user, step=step)
    )


@require_POST
def skip(request: HttpRequest, step_id: int) -> HttpResponse:
    reason = request.POST.get("reason", "")
    return _do(
        request,
        step_id,
        lambda user, step: verbs.skip_step(actor=user, step=step, reason=reason),
        "Skipped.",
    )


@require_POST
def take_skip_back(request: HttpRequest, step_id: int) -> HttpResponse:
    return _do(
        request,
        step_id,
        lambda user, step: verbs.take_skip_back(actor=user, step=step),
        "It is a step again.",
    )


@require_POST
def sign_off(request: HttpRequest, step_id: int) -> HttpResponse:
    reason = request.POST.get("reason", "")
    return _do(
        request,
        step_id,
        lambda user, step: verbs.sign_off_step(actor=user, step=step, reason=reason),
        "Signed. Another person starts it.",
    )


@require_POST
def move(request: HttpRequest, step_id: int) -> HttpResponse:
    by = -1 if request.POST.get("way") == "earlier" else 1
    version = _version(request)
    return _do(
        request,
        step_id,
        lambda user, step: plan_editing.move_step(actor=user, step=step, version=version, by=by),
        "",
    )


@require_POST
def remove(request: HttpRequest, step_id: int) -> HttpResponse:
    version = _version(request)
    return _do(
        request,
        step_id,
        lambda user, step: plan_editing.remove_step(actor=user, step=step, version=version),
        "Removed.",
    )


@require_POST
def walk_through(request: HttpRequest, step_id: int) -> HttpResponse:
    minutes, notes = request.POST.get("minutes", ""), request.POST.get("notes", "")
    number = int(minutes) if minutes.isdecimal() and len(minutes) < 6 else 0
    return _do(
        request,
        step_id,
        lambda user, step: rehearsals.record_walk_through(
            actor=user,
            step=step,
            minutes=number,
            notes=notes,
            succeeded=request.POST.get("succeeded") == "yes",
        ),
        "Written down.",
    )


@require_POST
def override(request: HttpRequest, step_id: int) -> HttpResponse:
    hours = request.POST.get("hours", "")
    return _do(
        request,
        step_id,
        lambda user, step: overrides.sign_override(
            actor=user,
            step=step,
            code=request.POST.get("code", ""),
            subject=request.POST.get("subject", ""),
            reason=request.POST.get("reason", ""),
            hours=int(hours) if hours.isdecimal() and len(hours) < 6 else 0,
        ),
        "Signed. It stays visible, and expires by itself.",
    )


@require_POST
def withdraw_override(request: HttpRequest, override_id: int) -> HttpResponse:
    user = person(request)
    found = selectors.override_with_id(user, override_id)
    attempt(request, lambda: overrides.withdraw_override(actor=user, override=found), "Withdrawn.")
    return redirect("plan", found.plan_id)


def people_for(plan: Plan) -> QuerySet[User]:
    """Who may answer for a way back: leads and engineers of the service's team."""
    team = Membership.objects.filter(team=plan.service.team_id, role__in=(Role.LEAD, Role.ENGINEER))
    return User.objects.filter(pk__in=team.values("user"), is_active=True).order_by("username")


def _owner(form: StepForm) -> User | None:
    given = form.back_owner
    if form.owners is None or not given.isdecimal() or len(given) > 18:
        return None
    return form.owners.filter(pk=int(given)).first()


def _page(
    request: HttpRequest, plan: Plan, form: StepForm, step: Step | None = None
) -> HttpResponse:
    context = {"plan": plan, "step": step, "form": form}
    wrong = bool(form.errors or form.top)
    return render(request, "plans/step_form.html", context, status=422 if wrong else 200)


def _version(request: HttpRequest) -> int:
    given = request.POST.get("version", "")
    return int(given) if given.isdecimal() and len(given) < 10 else 0


def _begin(
    request: HttpRequest, step_id: int, verb: Callable[[User, Step], Attempt]
) -> HttpResponse:
    user = person(request)
    step = selectors.step_with_id(user, step_id)
    begun = attempt(request, lambda: verb(user, step))
    return redirect("plan", step.plan_id) if begun is None else redirect("attempt", begun.pk)


def _do(
    request: HttpRequest, step_id: int, verb: Callable[[User, Step], object], done: str
) -> HttpResponse:
    user = person(request)
    step = selectors.step_with_id(user, step_id)
    attempt(request, lambda: verb(user, step), done)
    return redirect("plan", step.plan_id)
