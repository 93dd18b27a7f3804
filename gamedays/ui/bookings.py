"""Gamedays: the list with its week, booking one, and one gameday's page."""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from core import selectors as core_selectors
from core.choices import Role, SetupPhase
from core.errors import Conflict, Invalid, NotAllowed
from core.policies import may_book, may_run, role_on
from core.ui.paging import page_of
from core.ui.requests import attempt, person
from gamedays.choices import GAMEDAY_OPEN, GamedayState
from gamedays.operations import bookings as verbs
from gamedays.operations import runs as run_verbs
from gamedays.selectors import bookings as selectors
from gamedays.selectors.week import missing_for
from gamedays.ui.agenda import Item, catalogue, put_errors, read_agenda
from gamedays.ui.booking_form import BookingForm, first_values, zone_choices

if TYPE_CHECKING:
    from core.models import User

_CHANGES = ("add", "remove", "up", "refresh")
"""Buttons of the form that change it and book nothing."""
_YEARS = 100
"""How far from today the list of gamedays leads."""
_ROWS = 30


@require_GET
def gamedays(request: HttpRequest) -> HttpResponse:
    user = person(request)
    day = _day_asked(request)
    return render(
        request,
        "gamedays/list.html",
        {
            "days": selectors.week_of(user, day),
            "week_before": day - dt.timedelta(days=7),
            "week_after": day + dt.timedelta(days=7),
            "is_this_week": day.isocalendar()[:2] == timezone.localdate().isocalendar()[:2],
            "upcoming": page_of(request, selectors.upcoming(user), param="upcoming", size=_ROWS),
            "past": page_of(request, selectors.past(user), size=_ROWS),
            "can_book": core_selectors.bookable_clusters(user).exists(),
        },
    )


def _day_asked(request: HttpRequest) -> dt.date:
    """The day of `?week=`; today where it names none, or one at the end of all calendars."""
    try:
        day = parse_date(request.GET.get("week", ""))
    except ValueError:
        day = None  # well written, like 31 February, and no day all the same
    today = timezone.localdate()
    return day if day and abs(day.year - today.year) <= _YEARS else today


@require_http_methods(["GET", "POST"])
def book(request: HttpRequest) -> HttpResponse:
    """The booking form; its parts come back to it with everything that was typed."""
    user = person(request)
    if not core_selectors.bookable_clusters(user).exists():
        return _nothing_to_book(request, user)
    if request.method == "GET":
        return _booking_page(request, *_empty_form(request, user))
    form = BookingForm(request.POST, user=user)
    agenda = read_agenda(request.POST, form.nodes)
    if any(name in request.POST for name in _CHANGES):
        return _booking_page(request, _unjudged(request, user), agenda)
    gameday_id = _book(user, form, agenda)
    if gameday_id is None:
        return _booking_page(request, form, agenda, HTTPStatus.UNPROCESSABLE_ENTITY)
    messages.success(request, "Booked.")
    return redirect("gameday", gameday_id)


def _nothing_to_book(request: HttpRequest, user: User) -> HttpResponse:
    """Why this person has no cluster to book, and what to do about it.

    To a lead nothing is forbidden: there is only no cluster yet. Raises NotAllowed for the others.
    """
    if Role.LEAD not in core_selectors.roles_by_team(user).values() and not user.is_superuser:
        raise NotAllowed(
            "Only a team lead books gamedays. Ask a lead of your team to book this one."
        )
    setups = core_selectors.setups_in_progress(user)
    why = "Your team has no QA cluster yet. A platform owner registers one; see Clusters."
    if any(setup.phase in (SetupPhase.WAITING, SetupPhase.RUNNING) for setup in setups):
        why = "There is no QA cluster yet. Book as soon as this one is ready."
    elif setups:
        why = "There is no QA cluster: the one below could not be raised."
    return render(
        request,
        "gamedays/nothing_to_book.html",
        {"why": why, "setups": setups},
        status=HTTPStatus.CONFLICT if setups else HTTPStatus.FORBIDDEN,
    )


def _empty_form(request: HttpRequest, user: User) -> tuple[BookingForm, list[Item]]:
    clusters = core_selectors.bookable_clusters(user)
    asked = request.GET.get("cluster", "")
    cluster = clusters.filter(slug=asked).first() if asked else clusters.first()
    form = BookingForm(user=user, initial=first_values(user, cluster or clusters.first()))
    return form, read_agenda({"add": request.GET.get("scenario", "")}, form.nodes)


def _unjudged(request: HttpRequest, user: User) -> BookingForm:
    """The typed values again without complaints: the person is still filling in."""
    names = BookingForm.base_fields
    form = BookingForm(user=user, initial={name: request.POST.get(name) for name in names})
    if request.POST.get("refresh") == "cluster" and form.chosen is not None:
        form.initial["time_zone"] = form.chosen.time_zone
    return form


def _book(user: User, form: BookingForm, agenda: list[Item]) -> int | None:
    """Book it; None when something is wrong, which then stands in the form."""
    starts_at = form.starts_at if form.is_valid() else None
    drafts = [item.draft for item in agenda]
    if starts_at is None:
        # All complaints at once: nobody mends a title to be told of the agenda then.
        if form.chosen is not None:
            put_errors(agenda, verbs.check_agenda(cluster=form.chosen, agenda=drafts))
        return None
    data = form.cleaned_data
    try:
        gameday = verbs.book_gameday(
            actor=user,
            cluster=data["cluster"],
            title=data["title"],
            starts_at=starts_at,
            duration_min=data["duration_min"],
            time_zone=data["time_zone"],
            facilitator=data["facilitator"],
            autostart=data["autostart"],
            agenda=drafts,
        )
    except Invalid as error:
        form.take_errors(error)
        put_errors(agenda, error.errors)
        return None
    except Conflict as error:
        if error.field in (None, "starts_at"):
            form.take_overlap(error.message)
        else:
            form.add_error(None, error.message)
        return None
    return int(gameday.pk)


def _booking_page(
    request: HttpRequest, form: BookingForm, agenda: list[Item], status: int = HTTPStatus.OK
) -> HttpResponse:
    return render(
        request,
        "gamedays/book.html",
        {
            "form": form,
            "agenda": agenda,
            "agenda_full": len(agenda) >= verbs.AGENDA_MAX,
            "catalogue": catalogue(form.nodes, cluster_chosen=form.chosen is not None),
            "zones": zone_choices(),
            "worst_case": worst_case(form, agenda),
            "moment": moment_of(form),
            "refused": status != HTTPStatus.OK,
        },
        status=status,
    )


def worst_case(form: BookingForm, agenda: list[Item]) -> dict[str, Any]:
    """Minutes that the agenda may need, against the minutes that are booked."""
    minutes = verbs.worst_case_minutes([item.draft for item in agenda])
    booked = str(form["duration_min"].value() or "")
    over = booked.isdecimal() and minutes > int(booked)
    return {"minutes": minutes, "booked": booked, "over": over}


def moment_of(form: BookingForm) -> dt.datetime | None:
    """The moment that date, time and zone mean, as soon as they can be read."""
    probe = BookingForm({name: form[name].value() for name in form.fields}, user=form.user)
    probe.full_clean()
    return probe.starts_at


@require_GET
def gameday(request: HttpRequest, gameday_id: int) -> HttpResponse:
    user = person(request)
    found = selectors.gameday_with_id(user, gameday_id)
    agenda = selectors.planned(found)
    open_ = found.state in GAMEDAY_OPEN
    live = next((row for row in agenda if row.run and not row.run.is_final), None)
    return render(
        request,
        "gamedays/gameday.html",
        {
            "gameday": found,
            "agenda": agenda,
            "up_next": next((row for row in agenda if row.is_due), None) if open_ else None,
            "live_item": live,
            "role": role_on(user, found.cluster),
            "can_run": may_run(user, found.cluster),
            "can_book": may_book(user, found.cluster),
            "book_again": found.state in (GamedayState.CANCELLED, GamedayState.MISSED)
            and may_book(user, found.cluster),
            "missing": missing_for(found.cluster) if open_ else [],
            "is_open": open_,
            "is_early": found.state == GamedayState.BOOKED and found.starts_at > timezone.now(),
            "findings": selectors.findings_of(found),
        },
    )


@require_POST
def start(request: HttpRequest, gameday_id: int) -> HttpResponse:
    user = person(request)
    found = selectors.gameday_with_id(user, gameday_id)
    run = attempt(request, lambda: run_verbs.start_gameday(actor=user, gameday=found))
    return redirect("run", run.pk) if run is not None else redirect("gameday", gameday_id)


@require_POST
def cancel(request: HttpRequest, gameday_id: int) -> HttpResponse:
    user = person(request)
    found = selectors.gameday_with_id(user, gameday_id)
    attempt(request, lambda: verbs.cancel_gameday(actor=user, gameday=found), "Cancelled.")
    return redirect("gameday", gameday_id)


@require_POST
def end(request: HttpRequest, gameday_id: int) -> HttpResponse:
    user = person(request)
    found = selectors.gameday_with_id(user, gameday_id)
    attempt(request, lambda: run_verbs.end_gameday(actor=user, gameday=found), "Ended.")
    return redirect("gameday", gameday_id)
