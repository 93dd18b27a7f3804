"""The undo is rehearsed before a gameday's first fault, and nothing is injected without it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from gamedays.choices import InjectionState, Verdict
from gamedays.models import UndoRehearsal
from gamedays.operations.bookings import AgendaDraft, book_gameday
from gamedays.operations.rehearsals import unrehearsed_nodes
from gamedays.operations.runs import abort_injection, start_gameday
from tests.gamedays.fakes import FakeWorld
from tests.gamedays.test_conductor import Story, begin, make_fake
from tests.people import API, ETCD, Cast, make_cast

pytestmark = pytest.mark.django_db
_S = InjectionState


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def fake(cast: Cast) -> FakeWorld:
    return make_fake(cast.cluster)


def _drills(fake: FakeWorld) -> list[int]:
    return [machine.drills for machine in fake.guards.machines.values()]


def test_the_first_fault_is_preceded_by_a_drill_on_its_nodes_alone(
    cast: Cast, fake: FakeWorld
) -> None:
    story = begin(cast, fake)
    armed = story.to(_S.ACTIVE)
    assert _drills(fake) == [0, 1, 0]
    [stored] = UndoRehearsal.objects.all()
    assert (stored.node, stored.succeeded, stored.injection_id) == ("qa-2", True, armed.pk)
    assert armed.armed_at
    assert stored.at < armed.armed_at
    assert armed.timeline.filter(text__contains="The undo was rehearsed on qa-2").exists()
    assert story.to_the_end().verdict == Verdict.HELD


def test_the_second_fault_rehearses_only_where_nobody_has_yet(cast: Cast, fake: FakeWorld) -> None:
    gameday = book_gameday(
        actor=cast.lea,
        cluster=cast.cluster,
        title="Two faults",
        starts_at=timezone.now() + dt.timedelta(minutes=1),
        duration_min=60,
        time_zone="UTC",
        facilitator=cast.erik,
        agenda=[
            AgendaDraft(ETCD, {"node": "qa-2", "hold_s": 20, "observe_s": 20}),
            AgendaDraft(API, {"hold_s": 20, "observe_s": 20}),
        ],
    )
    Story(start_gameday(actor=cast.erik, gameday=gameday), fake).to_the_end()
    assert _drills(fake) == [0, 1, 0]
    Story(start_gameday(actor=cast.erik, gameday=gameday), fake).to_the_end()
    assert _drills(fake) == [1, 1, 1]


def test_another_gameday_rehearses_anew(cast: Cast, fake: FakeWorld) -> None:
    begin(cast, fake).to_the_end()
    begin(cast, fake).to_the_end()
    assert _drills(fake) == [0, 2, 0]


def test_a_guard_that_does_not_take_its_drill_back_gets_no_fault(
    cast: Cast, fake: FakeWorld
) -> None:
    fake.guards.machines["qa-2"].drill_fails = True
    done = begin(cast, fake, scenario=API).to_the_end()
    assert done.state == _S.REFUSED
    assert "not rehearsed with success on qa-2" in done.reason
    assert "arm" not in fake.guards.asked
    told = {r.node: r.succeeded for r in UndoRehearsal.objects.all()}
    assert told == {"qa-1": True, "qa-2": False, "qa-3": True}
    order = fake.guards.machines["qa-2"].order
    assert order
    assert order.phase == "undone", "the drill itself is taken back too"


def test_a_guard_that_is_away_during_the_drill_gets_no_fault(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    arm = fake.guards.arm

    def away(order_id, faults, credential=None, **more):  # type: ignore[no-untyped-def]
        fake.guards.machines["qa-2"].reachable = False
        answers = arm(order_id, faults, credential, **more)
        fake.guards.machines["qa-2"].reachable = True
        return answers

    fake.guards.arm = away  # type: ignore[method-assign]
    done = story.to_the_end()
    assert done.state == _S.REFUSED
    assert "could not be armed" in done.reason


def test_policy_says_for_how_long_a_rehearsal_counts(
    cast: Cast, fake: FakeWorld, settings: Any
) -> None:
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    key = story.injection.pk
    settings.BELAY_REHEARSAL_HOURS = 2
    assert unrehearsed_nodes(key, ["qa-2"]) == []
    UndoRehearsal.objects.update(at=timezone.now() - dt.timedelta(hours=2, minutes=1))
    assert unrehearsed_nodes(key, ["qa-1", "qa-2"]) == ["qa-1", "qa-2"]
    settings.BELAY_REHEARSAL_HOURS = 3
    assert unrehearsed_nodes(key, ["qa-2"]) == []
    UndoRehearsal.objects.create(
        cluster=cast.cluster,
        injection=story.injection,
        node="qa-2",
        at=timezone.now(),
        succeeded=False,
    )
    assert unrehearsed_nodes(key, ["qa-2"]) == ["qa-2"], "the newest one decides"


def test_an_abort_in_the_middle_of_a_drill_takes_it_back(cast: Cast, fake: FakeWorld) -> None:
    machine = fake.guards.machines["qa-2"]
    machine.drill_fails = True
    story = begin(cast, fake)
    story.go(lambda _i: machine.drills == 1)
    abort_injection(actor=cast.vera, injection=story.injection)
    done = story.to_the_end()
    assert done.state == _S.REFUSED
    assert machine.order
    assert machine.order.phase == "undone"
