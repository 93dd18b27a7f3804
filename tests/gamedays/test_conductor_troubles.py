"""The conductor when what it stands on fails: its rows, its worker, its guards."""

from __future__ import annotations

import pytest

from core.models import SlotClaim
from gamedays.choices import InjectionState, Verdict
from gamedays.models import Lease
from gamedays.operations.runs import abort_injection
from tests.gamedays.fakes import FakeWorld
from tests.gamedays.test_conductor import begin, make_fake
from tests.people import Cast, make_cast

pytestmark = pytest.mark.django_db
_S = InjectionState


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def fake(cast: Cast) -> FakeWorld:
    return make_fake(cast.cluster)


@pytest.mark.parametrize("state", [_S.ARMED, _S.INJECTING, _S.ACTIVE, _S.UNDOING])
def test_row_14_a_commit_whose_answer_is_lost(
    cast: Cast, fake: FakeWorld, state: InjectionState
) -> None:
    story = begin(cast, fake)
    fake.rows.lose_answer_to = state
    done = story.to_the_end()
    assert done.state == _S.CLEAN
    assert sum(m.injections for m in fake.guards.machines.values()) <= 1
    assert not fake.fault_is_on()
    if state in (_S.ARMED, _S.INJECTING):
        assert done.verdict == Verdict.INCONCLUSIVE


def test_row_13_with_the_database_gone_the_undo_comes_first(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    fake.rows.away = True
    story.conductor.advance()
    assert not fake.fault_is_on()
    fake.rows.away = False
    done = story.to_the_end()
    assert done.verdict == Verdict.INCONCLUSIVE
    assert "database" in done.doubt


def test_a_worker_that_is_told_to_stop_undoes_and_hands_over(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    story.conductor.stop("The worker was told to stop.")
    for _ in range(20):
        if story.conductor.advance() is None:
            break
        fake.clock.forward(0.3)
    assert not fake.fault_is_on()
    assert Lease.objects.get(injection=story.injection).given_up
    story.someone_takes_over()
    assert story.to_the_end().state == _S.CLEAN


def test_the_guards_own_undo_is_seen_and_never_called_held(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    fake.guards.undo(str(story.injection.pk), ["qa-2"])  # the dead-man switch fell
    done = story.to_the_end()
    assert done.verdict == Verdict.INCONCLUSIVE
    assert "by itself" in done.reason


def test_row_27_an_undo_that_does_not_succeed_alarms_and_keeps_the_slot(
    cast: Cast, fake: FakeWorld
) -> None:
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    fake.guards.machines["qa-2"].reachable = False
    stuck = story.to(_S.UNDO_STUCK)
    assert "qa-2" in stuck.reason
    assert stuck.timeline.filter(kind="alarm").exists()
    assert SlotClaim.objects.filter(holder=stuck.pk, released_at=None).exists()
    fake.guards.machines["qa-2"].reachable = True
    assert story.to_the_end().state == _S.CLEAN


def test_row_27_an_undo_that_changes_hands_alarms_all_the_same(cast: Cast, fake: FakeWorld) -> None:
    """Watchdogs that take over from one another, or a conductor that dies every half minute: the
    time that people wait for is counted from when the undo was asked for."""
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    fake.guards.machines["qa-2"].reachable = False
    abort_injection(actor=cast.vera, injection=story.injection)
    story.to(_S.UNDOING)
    for _ in range(6):
        began = fake.clock.ticks
        story.go(lambda i, at=began: i.state != _S.UNDOING or fake.clock.ticks - at > 30)  # type: ignore[misc]
        story.someone_takes_over()
    story.injection.refresh_from_db()
    assert story.injection.state == _S.UNDO_STUCK
    assert story.injection.timeline.filter(kind="alarm").exists()
