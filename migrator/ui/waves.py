"""Waves: on a timeline, one with its services, and their forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from core.errors import Conflict, Invalid
from core.ui.paging import page_of
from core.ui.requests import attempt, person
from migrator import wave_policies as policies
from migrator.operations import waves as verbs
from migrator.selectors import waves as selectors
from migrator.ui.timeline_svg import draw
from migrator.ui.wave_form import WaveForm, version_of

if TYPE_CHECKING:
    from django.core.paginator import Page

    from migrator.models import Service, Wave

HISTORY_SHOWN = 30
_TYPED_MAX = 400_000
"""Letters of a list of names; more than any 2,000 of them have."""


@require_GET
def waves(request: HttpRequest) -> HttpResponse:
    user = person(request)
    found = selectors.waves(user)
    context = {"waves": found, "timeline": draw(found), "can_make": policies.teams_led(user)}
    return render(request, "waves/list.html", context)


@require_http_methods(["GET", "POST"])
def new_wave(request: HttpRequest) -> HttpResponse:
    user = person(request)
    policies.require_lead_somewhere(user)
    if request.method == "GET":
        return _form(request, WaveForm.fresh(user))
    form = WaveForm.posted(user, request.POST.dict())
    try:
        made = verbs.create_wave(
            actor=user,
            team=form.team,
            name=form.values.get("name", ""),
            starts_on=form.starts_on,
            ends_on=form.ends_on,
            note=form.values.get("note", ""),
        )
    except (Invalid, Conflict) as error:
        form.take(error)
        return _form(request, form, status=422)
    messages.success(request, f"“{made}” is planned. Put its services in.")
    return redirect("wave", made.pk)


@require_GET
def wave(request: HttpRequest, wave_id: int) -> HttpResponse:
    user = person(request)
    return _wave(request, selectors.wave_with_id(user, wave_id))


@require_http_methods(["GET", "POST"])
def edit_wave(request: HttpRequest, wave_id: int) -> HttpResponse:
    """Its form. One that moved on meanwhile is told, and nothing typed is lost."""
    user = person(request)
    found = selectors.wave_with_id(user, wave_id)
    policies.require_lead(user, found)
    if request.method == "GET":
        return _form(request, WaveForm.of(user, found))
    form = WaveForm.posted(user, request.POST.dict(), found)
    try:
        verbs.edit_wave(
            actor=user,
            wave=found,
            version=form.version,
            name=form.values.get("name", ""),
            starts_on=form.starts_on,
            ends_on=form.ends_on,
            note=form.values.get("note", ""),
        )
    except Invalid as error:
        form.take(error)
        return _form(request, form, status=422)
    except Conflict as error:
        form.take_conflict(error, selectors.wave_with_id(user, wave_id))
        return _form(request, form, status=409)
    messages.success(request, "Saved.")
    return redirect("wave", found.pk)


@require_POST
def put_in(request: HttpRequest, wave_id: int) -> HttpResponse:
    """Put services in by their names, one a line. A name that nobody has keeps all of them out."""
    user = person(request)
    found = selectors.wave_with_id(user, wave_id)
    policies.require_lead(user, found)
    typed = request.POST.get("services", "").replace("\x00", "")[:_TYPED_MAX]
    services, unknown = selectors.named(user, typed.splitlines())
    try:
        if unknown:
            raise Invalid(_no_such(unknown), field="services")
        number = verbs.put_in_wave(
            actor=user, wave=found, version=version_of(request.POST.dict()), services=services
        )
    except (Invalid, Conflict) as error:
        status = 409 if isinstance(error, Conflict) else 422
        found = selectors.wave_with_id(user, wave_id)
        return _wave(request, found, typed=typed, error=error.message, status=status)
    noun = "service is" if number == 1 else "services are"
    messages.success(
        request, f"{number} {noun} in the wave now that {'was' if number == 1 else 'were'} not."
    )
    return redirect("wave", wave_id)


@require_POST
def take_out(request: HttpRequest, wave_id: int) -> HttpResponse:
    user = person(request)
    found = selectors.wave_with_id(user, wave_id)
    chosen = [
        int(each)
        for each in request.POST.getlist("services")
        if each.isascii() and each.isdecimal() and len(each) < 18
    ]
    version = version_of(request.POST.dict())
    attempt(
        request,
        lambda: verbs.take_out_of_wave(actor=user, wave=found, version=version, services=chosen),
        "Taken out of the wave.",
    )
    return redirect("wave", wave_id)


@require_POST
def archive(request: HttpRequest, wave_id: int) -> HttpResponse:
    user = person(request)
    found = selectors.wave_with_id(user, wave_id)
    version = version_of(request.POST.dict())
    done = "Archived. Its services are free for another wave."
    gone = attempt(
        request, lambda: verbs.archive_wave(actor=user, wave=found, version=version), done
    )
    return redirect("waves") if gone else redirect("wave", wave_id)


def _no_such(names: list[str]) -> str:
    shown = "; ".join(f"“{name[:80]}”" for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (
        f"No service that you may see is called {shown}{more}; nothing was put in. Correct the "
        "names, or add the services first."
    )


def _wave(
    request: HttpRequest, found: Wave, *, typed: str = "", error: str = "", status: int = 200
) -> HttpResponse:
    user = person(request)
    view = selectors.wave_view(user, found)
    page: Page[Service] = page_of(request, selectors.members_of(user, found))
    context = {
        "wave": found,
        "view": view,
        "timeline": draw([view]),
        "page": page,
        "services": list(page),
        "can_lead": policies.may_lead(user, found),
        "history": selectors.history_of(found)[:HISTORY_SHOWN],
        "typed": typed,
        "error": error,
    }
    return render(request, "waves/wave.html", context, status=status)


def _form(request: HttpRequest, form: WaveForm, status: int = 200) -> HttpResponse:
    return render(request, "waves/edit.html", {"form": form}, status=status)
