"""Templates in the browser: every save is a new version, and plans that were made stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from core.errors import Conflict, Invalid, NotFound
from core.ui.requests import attempt, person
from migrator import plan_policies as policies
from migrator.operations import templates as verbs
from migrator.operations.drafts import StepDraft, as_data, from_data
from migrator.runners.registry import RUNNERS
from migrator.selectors import templates as selectors
from migrator.ui.step_form import StepForm

if TYPE_CHECKING:
    from core.models import User
    from migrator.models import PlanTemplate


@require_GET
def templates(request: HttpRequest) -> HttpResponse:
    user = person(request)
    context = {
        "templates": selectors.templates(),
        "can_write": policies.leads_any_team(user),
    }
    return render(request, "templates/list.html", context)


@require_http_methods(["GET", "POST"])
def new_template(request: HttpRequest) -> HttpResponse:
    user = person(request)
    policies.require_template_author(user)
    typed = request.POST
    errors: Mapping[str, str] = {}
    if request.method == "POST":
        try:
            made = verbs.create_template(
                actor=user,
                title=typed.get("title", ""),
                description=typed.get("description", ""),
            )
        except (Invalid, Conflict) as error:
            errors = getattr(error, "errors", {}) or {"title": error.message}
        else:
            return redirect("template", made.slug)
    context = {"typed": typed, "errors": errors}
    return render(request, "templates/new.html", context, status=422 if errors else 200)


@require_http_methods(["GET", "POST"])
def template(request: HttpRequest, slug: str) -> HttpResponse:
    """One template with its steps; title and description are saved as a new version, too."""
    user = person(request)
    found = selectors.template_named(slug)
    errors: Mapping[str, str] = {}
    if request.method == "POST":
        try:
            _save(
                user,
                found,
                request,
                lambda steps: steps,
                title=request.POST.get("title", ""),
                description=request.POST.get("description", ""),
            )
        except Invalid as error:
            errors = error.errors or {"title": error.message}
        except Conflict as error:
            errors = {"top": error.message}
        else:
            messages.success(request, "Saved as a new version.")
            return redirect("template", slug)
    newest = found.versions.first()
    context = {
        "template": found,
        "typed": request.POST if errors else None,
        "errors": errors,
        "steps": [
            (index, data, RUNNERS.get(str(data.get("kind"))))
            for index, data in enumerate(newest.steps if newest else [])
        ],
        "versions": list(found.versions.select_related("made_by")),
        "kinds": RUNNERS.items(),
        "can_write": policies.leads_any_team(user),
    }
    return render(request, "templates/template.html", context, status=422 if errors else 200)


@require_http_methods(["GET", "POST"])
def template_step(request: HttpRequest, slug: str, index: int) -> HttpResponse:
    """The form of one step; one past the last is a new one, of the kind in `?kind=`."""
    user = person(request)
    policies.require_template_author(user)
    found = selectors.template_named(slug)
    newest = found.versions.first()
    steps: list[dict[str, Any]] = list(newest.steps) if newest else []
    if index > len(steps):
        raise NotFound("This template has no such step.")
    is_new = index == len(steps)
    kind = request.GET.get("kind", "") if is_new else str(steps[index]["kind"])
    if kind not in RUNNERS:
        raise NotFound(f"There is no kind of step {kind!r}.")
    if request.POST:
        form = StepForm.posted(kind, request.POST)
    elif is_new:
        form = StepForm(kind, {}, version=found.version)
    else:
        form = StepForm.of_data(steps[index], found.version)
    if request.method == "POST" and "refresh" not in request.POST:
        data = as_data(form.draft(None))
        if not is_new:
            data["key"] = steps[index]["key"]
        try:
            _save(user, found, request, lambda old: [*old[:index], data, *old[index + 1 :]])
        except (Invalid, Conflict) as error:
            form.take(_without_index(error, index))
        else:
            messages.success(request, "Saved as a new version.")
            return redirect("template", slug)
    context = {"template": found, "form": form, "is_new": is_new}
    wrong = bool(form.errors or form.top)
    return render(request, "plans/step_form.html", context, status=422 if wrong else 200)


@require_POST
def arrange(request: HttpRequest, slug: str, index: int) -> HttpResponse:
    """Move a step earlier or later, or take it out."""
    user = person(request)
    found = selectors.template_named(slug)
    what = request.POST.get("what", "")

    def change(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if index >= len(steps):
            raise Conflict("This template has no such step any more.", code="edited_meanwhile")
        moved = list(steps)
        if what == "remove":
            moved.pop(index)
            return moved
        other = index + (-1 if what == "earlier" else 1)
        if not 0 <= other < len(moved):
            raise Conflict("There is no place further that way.", code="no_place")
        moved[index], moved[other] = moved[other], moved[index]
        return moved

    attempt(request, lambda: _save(user, found, request, change), "Saved as a new version.")
    return redirect("template", slug)


@require_POST
def archive(request: HttpRequest, slug: str) -> HttpResponse:
    user = person(request)
    found = selectors.template_named(slug)
    archived = request.POST.get("to") != "use"
    attempt(
        request,
        lambda: verbs.archive_template(actor=user, template=found, archived=archived),
        "Out of use." if archived else "In use again.",
    )
    return redirect("templates")


def _save(
    user: User,
    found: PlanTemplate,
    request: HttpRequest,
    change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
    *,
    title: str | None = None,
    description: str | None = None,
) -> None:
    policies.require_template_author(user)
    newest = found.versions.first()
    given = request.POST.get("version", "")
    drafts: list[StepDraft] = [
        from_data(data, owner=None) for data in change(list(newest.steps) if newest else [])
    ]
    verbs.save_template(
        actor=user,
        template=found,
        version=int(given) if given.isdecimal() and len(given) < 10 else 0,
        title=found.title if title is None else title,
        description=found.description if description is None else description,
        steps=drafts,
        why=request.POST.get("why", ""),
    )


def _without_index(error: Invalid | Conflict, index: int) -> Invalid | Conflict:
    """The errors of the step that is shown, by its own fields' names."""
    if not isinstance(error, Invalid):
        return error
    prefix = f"{index}."
    errors = {
        name.removeprefix(prefix): text
        for name, text in error.errors.items()
        if name.startswith(prefix)
    }
    return Invalid(error.message, errors=errors or error.errors)
