"""Starting, aborting and ending: what people do to a gameday that is on."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.utils import timezone

from core import policies
from core.choices import SlotKind
from core.errors import Conflict, Invalid, NotFound
from core.operations.clusters import require_target
from core.operations.emergency import require_no_stop
from core.operations.slots import take_slot
from core.redaction import redact_text
from gamedays.choices import (
    FINAL,
    GAMEDAY_OPEN,
    EntryKind,
    GamedayState,
    InjectionState,
    VerificationTask,
)
from gamedays.models import AgendaItem, Gameday, Injection, Lease, TimelineEntry, Verification
from gamedays.operations.ending import end_injection, end_unproved
from gamedays.operations.locks import lock_gameday
from gamedays.operations.messages import send_conduct

if TYPE_CHECKING:
    import uuid

    from core.models import User

_NOTE_MAX = 4000


def start_gameday(*, actor: User, gameday: Gameday) -> Injection:
    """Start the gameday, or its next fault. The fault itself begins when the checks have passed.

    Raises:
        NotFound, NotAllowed: only leads and engineers start.
        Conflict: `gameday_over`, `agenda_done`, `cluster_busy` (one fault at a time),
            `emergency_stop`, or `booking_overlaps` when it would begin early, inside another
            booking.
    """
    policies.require_run(actor, gameday.cluster)
    with transaction.atomic():
        found = lock_gameday(gameday.pk)
        if found is None:
            raise NotFound("This gameday is not there any more.")
        gameday = found
        if gameday.state not in GAMEDAY_OPEN:
            raise Conflict(
                f"This gameday is {gameday.get_state_display().lower()}; book a new one.",
                code="gameday_over",
            )
        return begin_next(gameday=gameday, actor=actor, due_at=timezone.now())


def begin_next(*, gameday: Gameday, actor: User, due_at: dt.datetime) -> Injection:
    """Plan the next fault of a locked gameday row. Inside the caller's transaction."""
    require_no_stop()
    require_target(gameday.cluster)
    item = next_item(gameday)
    if item is None:
        raise Conflict("Every fault of the agenda has been run.", code="agenda_done")
    if gameday.state == GamedayState.BOOKED:
        _open(gameday, actor, due_at)
    injection = Injection(
        agenda_item=item,
        cluster=gameday.cluster,
        scenario_key=item.scenario_key,
        scenario_version=item.scenario_version,
        parameters=item.parameters,
        asked_by=actor,
        due_at=due_at,
    )
    take_slot(cluster=gameday.cluster, kind=SlotKind.INJECTION, holder=injection.pk)
    injection.save(force_insert=True)
    Lease.objects.create(injection=injection)
    TimelineEntry.objects.create(
        injection=injection,
        at=timezone.now(),
        kind=EntryKind.ACTION,
        text=f"{actor} asked for it.",
        actor=actor,
        data={"state": InjectionState.PLANNED},
    )
    Verification.objects.filter(gameday=gameday, task=VerificationTask.WAITING).update(
        task=VerificationTask.RUNNING, injection=injection
    )
    transaction.on_commit(lambda: send_conduct(injection.pk))
    return injection


def next_item(gameday: Gameday) -> AgendaItem | None:
    """The first fault of the agenda that was not run; one that was refused may be tried again."""
    ran = gameday.agenda.filter(injections__state__in=sorted(FINAL - {InjectionState.REFUSED}))
    return gameday.agenda.exclude(pk__in=ran.values("pk")).order_by("position").first()


def abort_injection(*, actor: User, injection: Injection) -> Injection:
    """Ask for the end of a fault. Whoever may see the cluster may, and nothing is asked back:
    stopping must never wait for the right person.

    The conductor acts on it within a moment, the watchdog within 3 s where it does not. Before
    anything is armed and conducted, the row itself is refused at once.
    """
    policies.require_see(actor, injection.cluster)
    return ask_for_abort(injection.pk, actor=actor, text=f"Abort requested by {actor}.")


def ask_for_abort(injection_id: uuid.UUID, *, actor: User, text: str) -> Injection:
    """The abort itself, without asking who may: for `abort_injection` and the emergency stop."""
    with transaction.atomic():
        # A lease that nobody holds is locked before the injection, in everybody's order; one that
        # somebody holds is left alone, so that an abort never waits for its conductor's commit.
        unclaimed = Lease.objects.filter(injection=injection_id, fence=0)
        unclaimed.select_for_update().first()
        injection = Injection.objects.select_for_update().get(pk=injection_id)
        if injection.is_final or injection.abort_requested_at is not None:
            return injection
        injection.abort_requested_at = timezone.now()
        injection.abort_requested_by = actor
        # Nobody conducts it: raise the fence, so that a late message finds nothing to claim. Where
        # a conductor was quicker, no row changes, and it is the conductor that refuses.
        refused = injection.state == InjectionState.PLANNED and unclaimed.update(fence=1) == 1
        if refused:
            injection.state = InjectionState.REFUSED
            injection.reason = f"Aborted by {actor} before anything was touched."
            injection.ended_at = timezone.now()
        injection.save(
            update_fields=[
                "abort_requested_at",
                "abort_requested_by",
                "state",
                "reason",
                "ended_at",
            ]
        )
        TimelineEntry.objects.create(
            injection=injection,
            at=timezone.now(),
            kind=EntryKind.ACTION,
            text=text,
            actor=actor,
            data={"abort": "requested", "state": injection.state},
        )
        if refused:
            end_injection(injection.pk)
    return injection


def end_gameday(*, actor: User, gameday: Gameday) -> None:
    """End a running gameday whose faults are all over, before its agenda is done."""
    policies.require_run(actor, gameday.cluster)
    with transaction.atomic():
        gameday = Gameday.objects.select_for_update().get(pk=gameday.pk)
        if Injection.objects.live().filter(agenda_item__gameday=gameday).exists():
            raise Conflict(
                "A fault is still live. Abort it, and end the gameday when it is clean.",
                code="cluster_busy",
            )
        if gameday.state != GamedayState.RUNNING:
            raise Conflict("This gameday is not running.", code="gameday_not_running")
        gameday.state = GamedayState.DONE
        gameday.ended_at = timezone.now()
        gameday.save(update_fields=["state", "ended_at"])
        end_unproved(gameday, f"{actor} ended it before a run had answered.")


def add_note(*, actor: User, injection: Injection, text: str) -> TimelineEntry:
    """Put what a person saw on the run's timeline. Everybody who may see the cluster may."""
    policies.require_see(actor, injection.cluster)
    text = text.strip()
    if not text:
        raise Invalid("Write what you saw, then add it.", field="text")
    if len(text) > _NOTE_MAX:
        raise Invalid(
            f"A note has at most {_NOTE_MAX} characters; this one has {len(text)}.", field="text"
        )
    return TimelineEntry.objects.create(
        injection=injection,
        at=timezone.now(),
        kind=EntryKind.NOTE,
        text=redact_text(text),
        actor=actor,
    )


def _open(gameday: Gameday, actor: User, due_at: dt.datetime) -> None:
    now = timezone.now()
    gameday.state = GamedayState.RUNNING
    gameday.started_at, gameday.started_by = now, actor
    if due_at < gameday.starts_at:
        # It begins early: the booking moves, so that what it takes is what the calendar shows.
        length = gameday.ends_at - gameday.starts_at
        gameday.period = DateTimeTZRange(due_at, due_at + length)
    try:
        with transaction.atomic():
            gameday.save(update_fields=["state", "started_at", "started_by", "period"])
    except IntegrityError:
        raise Conflict(
            "Starting now would run into another booking of this cluster. Start it at its time, "
            "or cancel the other one.",
            code="booking_overlaps",
        ) from None
