"""Findings: the list, the board, and one as its story with the verbs that move it on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from core import selectors as core_selectors
from core.errors import Conflict, Invalid
from core.policies import may_book, may_run, role_in
from core.ui.paging import page_of
from core.ui.requests import attempt, person
from gamedays.choices import FindingStatus
from gamedays.operations import findings as verbs
from gamedays.operations.symptoms import why_symptom_stays
from gamedays.selectors import findings as selectors
from gamedays.selectors.words import parameters_in_words, scenario_title, symptom_sentence
from gamedays.ui.finding_forms import FixForm, StoryForm, SymptomForm, VerificationForm, fix_initial

if TYPE_CHECKING:
    from core.models import User
    from gamedays.models import Finding

_ROWS = 10
"""Of each list in a finding's story."""
_STATUS_VERBS = {
    FindingStatus.OPEN: "Reopen finding",
    FindingStatus.ACKNOWLEDGED: "Acknowledge finding",
    FindingStatus.FIX_IN_PROGRESS: "Start fixing",
}
"""What the buttons say: a verb with its object, for each status that a person may set."""


@require_GET
def findings(request: HttpRequest) -> HttpResponse:
    """All findings as a list (`?status=`, `?page=`), or by status as a board (`?view=board`)."""
    user = person(request)
    if request.GET.get("view") == "board":
        columns = selectors.board(user)
        total = sum(column.count for column in columns)
        shown = {"view": "board", "columns": columns, "total": total}
        return render(request, "findings/list.html", shown)
    status = request.GET.get("status", "")
    status = status if status in FindingStatus.values else ""
    counts = selectors.counts(user)
    shown = {
        "view": "list",
        "counts": counts,
        "status": status,
        "total": sum(counts.values()),
        "findings": page_of(request, selectors.findings(user, status)),
    }
    return render(request, "findings/list.html", shown)


@require_GET
def finding(request: HttpRequest, finding_id: int) -> HttpResponse:
    user = person(request)
    return _page(request, user, selectors.finding_with_id(user, finding_id))


@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, finding_id: int) -> HttpResponse:
    """The story's form. A finding that moved on meanwhile is told, and nothing typed is lost."""
    user = person(request)
    found = selectors.finding_with_id(user, finding_id)
    form = _story_form(user, found, request.POST or None)
    symptom = SymptomForm.of(found, request.POST or None)
    if request.method == "POST" and symptom is None and "symptom_probe" in request.POST:
        form.add_error(None, f"{why_symptom_stays(found)} Nothing was saved yet.")
    moved_on = False
    sent = symptom if symptom is not None and symptom.is_bound else None
    if request.method == "POST" and form.is_valid() and (sent is None or sent.is_valid()):
        draft = sent.draft if sent else None
        try:
            verbs.edit_finding(actor=user, finding=found, symptom=draft, **form.cleaned_data)
        except Invalid as error:
            _take_errors(sent if sent and str(error.field).startswith("symptom_") else form, error)
        except Conflict as error:
            moved_on = True
            form.add_error(None, error.message)
        else:
            messages.success(request, "Saved.")
            return redirect("finding", finding_id)
    if moved_on:
        found = selectors.finding_with_id(user, finding_id)
    return render(
        request,
        "findings/edit.html",
        {
            "finding": found,
            "form": form,
            "symptom_form": symptom,
            "why_symptom_stays": why_symptom_stays(found),
            "symptom": symptom_sentence(found),
            "moved_on": moved_on,
            "can_edit": may_run(user, found.cluster),
        },
        status=409 if moved_on else 422 if form.errors or (sent and sent.errors) else 200,
    )


@require_POST
def set_status(request: HttpRequest, finding_id: int) -> HttpResponse:
    user = person(request)
    found = selectors.finding_with_id(user, finding_id)
    version = request.POST.get("version", "")
    status = request.POST.get("status", "")
    if status in FindingStatus.values and version.isdecimal():
        attempt(
            request,
            lambda: verbs.set_finding_status(
                actor=user, finding=found, version=int(version), status=FindingStatus(status)
            ),
        )
    else:
        messages.error(request, f"“{status}” is no status of a finding. Nothing was changed.")
    return redirect("finding", finding_id)


@require_POST
def record_fix(request: HttpRequest, finding_id: int) -> HttpResponse:
    user = person(request)
    found = selectors.finding_with_id(user, finding_id)
    form = FixForm(request.POST)
    if form.is_valid():
        data = form.cleaned_data
        try:
            verbs.record_fix(
                actor=user,
                finding=found,
                what=data["what"],
                link=data["link"],
                fixed_since=form.fixed_since,
            )
        except (Invalid, Conflict) as error:
            _take_errors(form, error, {"fixed_since": "fixed_since_date"})
        else:
            messages.success(request, "Fix recorded. It is proved when the same fault runs again.")
            return redirect("finding", finding_id)
    return _page(request, user, found, fix=form, status=422)


@require_POST
def verify(request: HttpRequest, finding_id: int) -> HttpResponse:
    """Ask for proof: the same scenario version with the same parameters, now or at a time."""
    user = person(request)
    found = selectors.finding_with_id(user, finding_id)
    form = VerificationForm(request.POST)
    if form.is_valid():
        try:
            verification = verbs.request_verification(
                actor=user, finding=found, starts_at=form.starts_at
            )
        except (Invalid, Conflict) as error:
            _take_errors(form, error, {"starts_at": "time"})
        else:
            if verification.injection_id is not None:
                return redirect("run", verification.injection_id)
            messages.success(request, "Re-verification booked.")
            return redirect("gameday", verification.gameday_id)
    return _page(request, user, found, verification=form, status=422)


def _page(
    request: HttpRequest,
    user: User,
    found: Finding,
    *,
    fix: FixForm | None = None,
    verification: VerificationForm | None = None,
    status: int = 200,
) -> HttpResponse:
    run = found.injection
    return render(
        request,
        "findings/finding.html",
        {
            "finding": found,
            "run": run,
            "scenario_title": scenario_title(found.scenario_key),
            "parameters": parameters_in_words(found.scenario_key, found.parameters),
            "symptom": symptom_sentence(found),
            "fixes": page_of(request, selectors.fixes(found), param="fixes", size=_ROWS),
            "verifications": page_of(
                request, selectors.verifications(found), param="proofs", size=_ROWS
            ),
            "recurrences": page_of(
                request, selectors.recurrences(found), param="again", size=_ROWS
            ),
            "statuses": [(s, _STATUS_VERBS[s]) for s in selectors.statuses_by_hand(found)],
            "can_run": may_run(user, found.cluster),
            "service_visible": found.service is not None
            and role_in(user, found.service.team_id) is not None,
            "can_book": may_book(user, found.cluster),
            "fix_form": fix or FixForm(initial=fix_initial()),
            "verification_form": verification or VerificationForm(),
        },
        status=status,
    )


def _story_form(user: User, found: Finding, data: Any) -> StoryForm:
    names = ("version", "title", "believed", "happened", "cause", "severity")
    initial = {name: getattr(found, name) for name in names}
    initial |= {"owner": found.owner_id, "service": found.service_id}
    form = StoryForm(data, initial=initial)
    owner = form.fields["owner"]
    if isinstance(owner, forms.ModelChoiceField):
        owner.queryset = core_selectors.runners_of(found.cluster)
    service = form.fields["service"]
    if isinstance(service, forms.ModelChoiceField):
        service.queryset = selectors.services_it_may_be_about(user, found)
    return form


def _take_errors(
    form: forms.Form, error: Invalid | Conflict, names: dict[str, str] | None = None
) -> None:
    """Put a refusal beside its field, or on top."""
    errors = error.errors if isinstance(error, Invalid) and error.errors else {}
    for name, text in (errors or {error.field or "": error.message}).items():
        field = (names or {}).get(name, name)
        form.add_error(field if field in form.fields else None, text)
