"""What the clock starts: booked gamedays, and planned faults whose message was lost."""

from __future__ import annotations

import datetime as dt

import structlog
from django.db import transaction
from django.utils import timezone

from core import policies
from core.errors import DomainError
from gamedays.choices import GamedayState, InjectionState
from gamedays.models import Gameday, Injection
from gamedays.operations.ending import end_unproved
from gamedays.operations.locks import lock_gameday
from gamedays.operations.messages import send_conduct
from gamedays.operations.runs import begin_next, next_item

log = structlog.get_logger(__name__)
LEAD = dt.timedelta(seconds=25)
"""The checks and the undo's rehearsal begin this long before the booked time, so that the fault is
on time."""
MISSED = dt.timedelta(minutes=10)
"""A gameday that could not start by itself for this long is missed, never caught up."""


def start_due() -> None:
    """Start what is booked for now; go on with running gamedays that go on by themselves."""
    now = timezone.now()
    Gameday.objects.filter(
        autostart=False, state=GamedayState.BOOKED, period__endswith__lt=now
    ).update(state=GamedayState.MISSED, ended_at=now)
    automatic = Gameday.objects.filter(autostart=True)
    for key in automatic.filter(
        state=GamedayState.BOOKED, period__startswith__lte=now + LEAD
    ).values_list("pk", flat=True):
        _start(key, now)
    for key in automatic.filter(state=GamedayState.RUNNING).values_list("pk", flat=True):
        _continue(key, now)


def wake_planned() -> None:
    """Send the message again for planned faults that nobody claimed: the first one is lost."""
    waiting = Injection.objects.filter(
        state=InjectionState.PLANNED,
        lease__fence=0,
        asked_at__lt=timezone.now() - dt.timedelta(seconds=3),
    )
    for key in waiting.values_list("pk", flat=True):
        send_conduct(key)


def _start(key: int, now: dt.datetime) -> None:
    with transaction.atomic():
        # `skip_locked`: another beat that looks at the same moment has it, or somebody who works
        # on its cluster; the next look comes within a second.
        gameday = lock_gameday(key, skip_locked=True)
        if gameday is None or gameday.state != GamedayState.BOOKED:
            return
        if now > gameday.starts_at + MISSED:
            _miss(gameday, now)
            return
        _begin(gameday, max(now, gameday.starts_at))


def _continue(key: int, now: dt.datetime) -> None:
    with transaction.atomic():
        gameday = lock_gameday(key, skip_locked=True)
        if gameday is None or gameday.state != GamedayState.RUNNING:
            return
        item = next_item(gameday)
        # A refused fault waits for a person: trying it for ever would only repeat the refusal.
        if item is None or item.injections.exists() or _a_person_ended_the_last(gameday):
            return
        _begin(gameday, now)


def _a_person_ended_the_last(gameday: Gameday) -> bool:
    """Whoever aborts a fault, sets the emergency stop, or answers for a fault by hand wants no
    other a second later: the next one waits for a click."""
    last = Injection.objects.filter(agenda_item__gameday=gameday).order_by("asked_at").last()
    return last is not None and (
        last.abort_requested_at is not None or last.state == InjectionState.RESOLVED_BY_HAND
    )


def _begin(gameday: Gameday, due_at: dt.datetime) -> None:
    if not policies.may_run(gameday.facilitator, gameday.cluster):
        # Whoever lost the right since the booking starts nothing by having booked it once.
        log.warning("facilitator_may_not_run", gameday=gameday.pk)
        _miss(gameday, timezone.now())
        return
    try:
        with transaction.atomic():
            begin_next(gameday=gameday, actor=gameday.facilitator, due_at=due_at)
    except DomainError as error:
        log.info("not_started_yet", gameday=gameday.pk, code=error.code)


def _miss(gameday: Gameday, now: dt.datetime) -> None:
    gameday.state = GamedayState.MISSED
    gameday.ended_at = now
    gameday.save(update_fields=["state", "ended_at"])
    end_unproved(gameday, "It was missed: nothing could start it in its time.")
