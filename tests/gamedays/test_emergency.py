"""The emergency stop: live faults end, nothing is armed, undo goes on, and a lead releases it."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, OperationalError, transaction
from django.utils import timezone

from core.errors import Conflict, Invalid, NotAllowed
from core.models import Cluster, EmergencyStop
from core.operations.emergency import require_no_stop
from gamedays.choices import FINAL, InjectionState
from gamedays.execution.world import World
from gamedays.models import ClusterAuthority, Injection
from gamedays.operations.due import start_due
from gamedays.operations.emergency import (
    enforce_emergency_stop,
    release_emergency_stop,
    set_emergency_stop,
)
from gamedays.operations.runs import abort_injection, ask_for_abort, start_gameday
from tests.gamedays.fakes import FakeWorld
from tests.gamedays.test_conductor import Story, begin, make_fake
from tests.people import Cast, book, make_cast, make_cluster

pytestmark = pytest.mark.django_db
_S = InjectionState


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def fake(cast: Cast) -> FakeWorld:
    return make_fake(cast.cluster)


def test_row_48_a_live_fault_is_aborted_and_its_undo_goes_on(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    live = story.to(_S.ACTIVE)
    assert fake.fault_is_on()
    set_emergency_stop(actor=cast.vera, why="the shop is down")
    live.refresh_from_db()
    assert live.abort_requested_by == cast.vera
    done = story.to_the_end()
    assert done.state == _S.CLEAN
    assert not fake.fault_is_on()
    assert "Aborted by vera" in done.reason
    entry = done.timeline.get(data__abort="requested")
    assert entry.text == "Emergency stop by vera: the shop is down"


def test_row_48_nothing_is_begun_while_it_is_set(cast: Cast) -> None:
    gameday = book(cast, autostart=True)
    set_emergency_stop(actor=cast.erik)
    with pytest.raises(Conflict, match="by erik") as refusal:
        start_gameday(actor=cast.lea, gameday=gameday)
    assert refusal.value.code == "emergency_stop"
    start_due()
    assert not Injection.objects.exists()
    with pytest.raises(Conflict):
        require_no_stop()


@pytest.mark.parametrize("at", [_S.PREFLIGHT, _S.ARMED])
def test_row_48_the_transaction_that_goes_forward_finds_a_stop_whose_setter_died(
    cast: Cast, at: InjectionState, fake: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row of the stop is committed, and nobody came to abort what is live."""
    story = begin(cast, fake)

    def stop_now() -> None:
        EmergencyStop.objects.create(set_by=cast.vera, why="fire")

    if at is _S.PREFLIGHT:
        story.to(_S.PREFLIGHT)
        stop_now()
    else:
        # Between `armed` and `injecting` there is one commit, and no tick of the conductor.
        move = fake.rows.move

        def move_and_stop(run: object, to: InjectionState, **changes: object) -> object:
            moved = move(run, to, **changes)  # type: ignore[arg-type]
            if to is _S.ARMED:
                stop_now()
            return moved

        monkeypatch.setattr(fake.rows, "move", move_and_stop)
    done = story.to_the_end()
    assert done.state in FINAL
    assert done.injecting_at is None
    assert not any(machine.injections for machine in fake.guards.machines.values())
    assert done.abort_requested_by == cast.vera
    assert ("arm" in fake.guards.asked) == (at is _S.ARMED)
    assert all(
        machine.order is None or machine.order.phase == "undone"
        for machine in fake.guards.machines.values()
    )


def test_what_its_setter_did_not_reach_is_aborted_by_the_next_look(
    cast: Cast, fake: FakeWorld
) -> None:
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    EmergencyStop.objects.create(set_by=cast.erik, why="")
    enforce_emergency_stop()
    assert story.to_the_end().abort_requested_by == cast.erik
    assert not fake.fault_is_on()


def test_one_row_that_is_held_keeps_no_abort_from_the_others(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_cluster(cast.team, "qa-two")
    first = start_gameday(actor=cast.erik, gameday=book(cast))
    cast.cluster = other
    second = start_gameday(actor=cast.erik, gameday=book(cast))
    held = {first.pk}

    def ask(injection_id: object, **given: object) -> object:
        if injection_id in held:
            raise OperationalError("canceling statement due to statement timeout")
        return ask_for_abort(injection_id, **given)  # type: ignore[arg-type]

    monkeypatch.setattr("gamedays.operations.emergency.ask_for_abort", ask)
    set_emergency_stop(actor=cast.lea)
    second.refresh_from_db()
    assert second.abort_requested_at is not None
    held.clear()
    enforce_emergency_stop()
    first.refresh_from_db()
    assert first.state == _S.REFUSED


def test_who_sets_it_and_who_releases_it(cast: Cast) -> None:
    with pytest.raises(NotAllowed):
        set_emergency_stop(actor=cast.otto)
    stop = set_emergency_stop(actor=cast.vera, why="first")
    assert set_emergency_stop(actor=cast.lea, why="second") == stop, "one stop, not two"
    for person in (cast.vera, cast.erik, cast.otto):
        with pytest.raises(NotAllowed):
            release_emergency_stop(actor=person, reason="it is over")
    with pytest.raises(Invalid, match="safe to go on"):
        release_emergency_stop(actor=cast.lea, reason="  ")
    with pytest.raises(Invalid, match="At most 1000"):
        release_emergency_stop(actor=cast.lea, reason="x" * 1001)
    released = release_emergency_stop(actor=cast.lea, reason="the shop is back")
    assert (released.pk, released.released_by) == (stop.pk, cast.lea)
    require_no_stop()
    with pytest.raises(Conflict, match="was released"):
        release_emergency_stop(actor=cast.olga, reason="again")
    assert start_gameday(actor=cast.erik, gameday=book(cast)).state == _S.PLANNED


def test_releasing_raises_every_epoch_so_that_what_was_planned_before_is_refused(
    cast: Cast,
) -> None:
    for cluster in (cast.cluster, make_cluster(cast.team, "qa-two")):
        ClusterAuthority.objects.create(cluster=cluster, epoch=3, installation="i")
    set_emergency_stop(actor=cast.lea)
    assert set(ClusterAuthority.objects.values_list("epoch", flat=True)) == {3}
    release_emergency_stop(actor=cast.lea, reason="it is over")
    assert set(ClusterAuthority.objects.values_list("epoch", flat=True)) == {4}


def test_the_database_holds_one_stop_and_its_signature(cast: Cast) -> None:
    EmergencyStop.objects.create(set_by=cast.lea)
    with pytest.raises(IntegrityError), transaction.atomic():
        EmergencyStop.objects.create(set_by=cast.erik)
    with pytest.raises(IntegrityError), transaction.atomic():
        EmergencyStop.objects.update(released_at=timezone.now())


def test_a_claimed_fault_is_left_to_its_conductor(cast: Cast, fake: FakeWorld) -> None:
    story: Story = begin(cast, fake)
    world: World = fake.world()
    assert world.cluster.uid == Cluster.objects.get().uid
    set_emergency_stop(actor=cast.lea)
    story.injection.refresh_from_db()
    assert story.injection.state == _S.PLANNED
    assert story.to_the_end().state == _S.REFUSED
    assert "arm" not in fake.guards.asked
    assert abort_injection(actor=cast.vera, injection=story.injection).abort_requested_by == (
        cast.lea
    )
