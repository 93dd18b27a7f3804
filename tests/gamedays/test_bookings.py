"""Booking: every refusal is a form error and a domain error with a stable code."""

from __future__ import annotations

import datetime as dt
import threading

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from core.choices import Stage
from core.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from gamedays.choices import GamedayState, InjectionState
from gamedays.models import Gameday, Injection, Lease
from gamedays.operations.bookings import (
    AgendaDraft,
    book_gameday,
    cancel_gameday,
    worst_case_minutes,
)
from gamedays.operations.by_hand import resolve_by_hand
from gamedays.operations.due import start_due, wake_planned
from gamedays.operations.emergency import release_emergency_stop, set_emergency_stop
from gamedays.operations.ending import end_injection
from gamedays.operations.runs import abort_injection, end_gameday, start_gameday
from tests.people import API, ETCD, Cast, book, make_cast, make_cluster

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"starts_in": dt.timedelta(hours=-1)}, "booking_in_past", "starts_at"),
        ({"hold_s": 4}, "parameter_out_of_bounds", "agenda.0.hold_s"),
        ({"hold_s": 601}, "parameter_out_of_bounds", "agenda.0.hold_s"),
        ({"hold_s": "soon"}, "parameter_out_of_bounds", "agenda.0.hold_s"),
        ({"observe_s": 19}, "parameter_out_of_bounds", "agenda.0.observe_s"),
        ({"node": "qa-9"}, "parameter_out_of_bounds", "agenda.0.node"),
        ({"colour": "red"}, "unknown_parameter", "agenda.0.colour"),
        ({"scenario": "earthquake"}, "unknown_scenario", "agenda.0.scenario"),
        ({"duration_min": 1}, "invalid", "duration_min"),
    ],
)
def test_a_wrong_value_is_named(
    cast: Cast, change: dict[str, object], code: str, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        book(cast, **change)  # type: ignore[arg-type]
    assert (refused.value.code, refused.value.field) == (code, field)
    assert not Gameday.objects.exists()


def test_every_wrong_value_is_named_at_once(cast: Cast) -> None:
    with pytest.raises(Invalid) as refused:
        book(cast, starts_in=dt.timedelta(days=-1), hold_s=1, observe_s=1)
    assert set(refused.value.errors) == {"starts_at", "agenda.0.hold_s", "agenda.0.observe_s"}


@pytest.mark.parametrize(
    ("who", "error"), [("erik", NotAllowed), ("vera", NotAllowed), ("otto", NotFound)]
)
def test_only_leads_book(cast: Cast, who: str, error: type[DomainError]) -> None:
    cast.lea, other = getattr(cast, who), cast.lea
    with pytest.raises(error):
        book(cast)
    cast.lea = other


def test_an_overlap_on_the_same_cluster_is_refused_by_the_database(cast: Cast) -> None:
    first = book(cast, starts_in=dt.timedelta(hours=1), duration_min=60)
    with pytest.raises(Conflict) as refused:
        book(cast, starts_in=dt.timedelta(minutes=90))
    assert refused.value.code == "booking_overlaps"
    assert first.title in refused.value.message
    with pytest.raises(IntegrityError), transaction.atomic():
        Gameday.objects.create(
            cluster=cast.cluster,
            title="x",
            period=first.period,
            facilitator=cast.lea,
            booked_by=cast.lea,
        )
    cancel_gameday(actor=cast.lea, gameday=first)
    book(cast, starts_in=dt.timedelta(minutes=90))


def test_another_cluster_may_be_booked_at_the_same_time(cast: Cast) -> None:
    book(cast, starts_in=dt.timedelta(hours=1))
    cast.cluster = make_cluster(cast.team, "qa-two")
    book(cast, starts_in=dt.timedelta(hours=1))


@pytest.mark.django_db(transaction=True)
def test_two_leads_book_the_same_slot_at_once_and_one_wins() -> None:
    cast = make_cast()
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def attempt() -> None:
        barrier.wait()
        try:
            book(cast, starts_in=dt.timedelta(hours=2))
            outcomes.append("booked")
        except Conflict as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["booked", "booking_overlaps"]


def test_production_can_hold_no_fault_whatever_the_code_believes(cast: Cast) -> None:
    gameday = book(cast)
    production = make_cluster(cast.team, "checkout", Stage.PRODUCTION)
    values = {
        "agenda_item": gameday.agenda.get(),
        "cluster": production,
        "scenario_key": ETCD,
        "scenario_version": 1,
        "asked_by": cast.lea,
        "due_at": timezone.now(),
    }
    for stage in ("qa", "production"):
        with pytest.raises(IntegrityError), transaction.atomic():
            Injection.objects.create(**values, cluster_stage=stage)
    production.stage = Stage.QA
    with pytest.raises(IntegrityError), transaction.atomic():
        production.save()


def test_only_leads_and_engineers_start(cast: Cast) -> None:
    gameday = book(cast)
    with pytest.raises(NotAllowed):
        start_gameday(actor=cast.vera, gameday=gameday)
    with pytest.raises(NotFound):
        start_gameday(actor=cast.otto, gameday=gameday)
    start_gameday(actor=cast.erik, gameday=gameday)
    with pytest.raises(Conflict) as refused:
        start_gameday(actor=cast.lea, gameday=gameday)
    assert refused.value.code == "cluster_busy"
    with pytest.raises(Conflict):
        end_gameday(actor=cast.lea, gameday=gameday)


def test_everybody_who_sees_the_cluster_aborts_and_outsiders_do_not(cast: Cast) -> None:
    injection = start_gameday(actor=cast.erik, gameday=book(cast))
    with pytest.raises(NotFound):
        abort_injection(actor=cast.otto, injection=injection)
    aborted = abort_injection(actor=cast.vera, injection=injection)
    assert aborted.state == InjectionState.REFUSED
    assert "vera" in aborted.reason
    retry = start_gameday(actor=cast.erik, gameday=aborted.agenda_item.gameday)
    assert retry.pk != aborted.pk


def test_row_17_a_booked_gameday_starts_by_itself_once(cast: Cast) -> None:
    book(cast, autostart=True, starts_in=dt.timedelta(seconds=2))
    start_due()
    start_due()
    injection = Injection.objects.get()
    gameday = Gameday.objects.get()
    assert gameday.state == GamedayState.RUNNING
    assert injection.due_at == gameday.starts_at


@pytest.mark.django_db(transaction=True)
def test_row_17_two_beats_that_look_at_the_same_moment_start_it_once() -> None:
    book(make_cast(), autostart=True, starts_in=dt.timedelta(seconds=2))
    together = threading.Barrier(2)
    failed: list[Exception] = []

    def beat() -> None:
        try:
            together.wait(timeout=30)
            for _ in range(5):
                start_due()
        except Exception as error:  # noqa: BLE001  a thread's error is judged below
            failed.append(error)
        finally:
            connection.close()

    beats = [threading.Thread(target=beat) for _ in range(2)]
    for thread in beats:
        thread.start()
    for thread in beats:
        thread.join(timeout=60)
    assert not failed
    assert Injection.objects.count() == 1
    assert Gameday.objects.get().state == GamedayState.RUNNING


def of_two(cast: Cast) -> Gameday:
    """A gameday that starts by itself, with two faults."""
    return book_gameday(
        actor=cast.lea,
        cluster=cast.cluster,
        title="Two of them",
        starts_at=timezone.now() + dt.timedelta(seconds=2),
        duration_min=60,
        time_zone="Europe/Berlin",
        facilitator=cast.erik,
        autostart=True,
        agenda=[AgendaDraft(ETCD, {"node": node, "hold_s": 20}) for node in ("qa-1", "qa-2")],
    )


@pytest.mark.parametrize("by_hand", [False, True])
def test_after_a_fault_that_a_person_ended_the_next_waits_for_a_person(
    cast: Cast, *, by_hand: bool
) -> None:
    gameday = of_two(cast)
    start_due()
    first = Injection.objects.get()
    Lease.objects.update(fence=1)  # somebody conducts it
    if by_hand:
        Injection.objects.update(state=InjectionState.UNDO_STUCK)
        resolve_by_hand(actor=cast.lea, injection=first, reason="qa-1 burnt", seen="it burns")
    else:
        set_emergency_stop(actor=cast.vera)
        release_emergency_stop(actor=cast.lea, reason="the shop is back")
        Injection.objects.update(state=InjectionState.CLEAN)
        end_injection(first.pk)
    start_due()
    assert Injection.objects.get() == first, "nothing is started by a release or a signature"
    assert start_gameday(actor=cast.erik, gameday=gameday).pk != first.pk


def test_after_a_fault_that_ended_by_itself_the_next_begins_by_itself(cast: Cast) -> None:
    of_two(cast)
    start_due()
    Injection.objects.update(state=InjectionState.CLEAN)
    end_injection(Injection.objects.get().pk)
    start_due()
    assert Injection.objects.count() == 2


def test_row_39_a_missed_start_is_missed_and_never_caught_up(cast: Cast) -> None:
    gameday = book(cast, autostart=True, starts_in=dt.timedelta(seconds=-30))
    Gameday.objects.update(
        period=(timezone.now() - dt.timedelta(hours=3), timezone.now() - dt.timedelta(hours=2))
    )
    start_due()
    gameday.refresh_from_db()
    assert gameday.state == GamedayState.MISSED
    assert not Injection.objects.exists()


def test_a_lost_message_is_sent_again(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[object] = []
    monkeypatch.setattr("gamedays.operations.due.send_conduct", sent.append)
    injection = start_gameday(actor=cast.erik, gameday=book(cast))
    wake_planned()
    assert sent == []
    Injection.objects.update(asked_at=timezone.now() - dt.timedelta(seconds=5))
    wake_planned()
    assert sent == [injection.pk]


def test_worst_case_minutes_add_up() -> None:
    agenda = [
        AgendaDraft(ETCD, {"hold_s": "60", "observe_s": "60"}),
        AgendaDraft(API, {"hold_s": "nonsense"}),
    ]
    assert worst_case_minutes(agenda) == 15
