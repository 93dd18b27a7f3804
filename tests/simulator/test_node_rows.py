"""Rows of the failure table that befall the nodes, their guards, and the way to them."""

from __future__ import annotations

import pytest

from gamedays.choices import InjectionState as In
from tests.people import API
from tests.simulator.network import Heard
from tests.simulator.play import Stage, play
from tests.simulator.schedule import KILL, Event, Schedule, What
from tests.simulator.test_rows import (
    LEASE_END_S,
    done,
    ended,
    heard,
    hits,
    lasted,
    run,
)
from tests.simulator.universe import Universe

pytestmark = pytest.mark.long


def test_row_19_network_cut_between_us_and_the_nodes(stage: Stage) -> None:
    cut = Event(In.ACTIVE, What.PARTITION_ALL, after_s=1.0, seconds=200.0)
    played = run(stage, cut)
    assert (ended(played), played.verdict) == ("clean", "inconclusive")
    assert max(lasted(played)) < LEASE_END_S


def test_row_19_a_fault_that_the_guards_ended_early_holds_nothing(stage: Stage) -> None:
    """Nobody saw it: the cut heals after the hold, and every guard says undone."""
    cut = Event(In.ACTIVE, What.PARTITION_ALL, after_s=1.0, seconds=70.0)
    played = done(play(stage, Schedule(API, events=(cut,), hold_s=60)))
    assert (ended(played), played.verdict) == ("clean", "inconclusive")
    assert "undo_stuck" not in [state for _at, state in played.trail]


def test_row_20_a_late_inject_meets_the_tombstone(stage: Stage) -> None:
    played = run(stage, Event(In.INJECTING, What.MESSAGES_DELAYED, node=1, seconds=40.0))
    late = [one for one in heard(played, "inject") if one.node == "qa-2"]
    assert [one.status for one in late] == [409], "it came, and was refused"
    assert (ended(played), len(lasted(played))) == ("clean", 2)


def test_row_20_a_late_arm_meets_the_tombstone(stage: Stage) -> None:
    slow = Event(In.ARMING, What.MESSAGES_DELAYED, node=1, skip=1, seconds=40.0)
    played = run(stage, slow)
    late = [one for one in heard(played, "arm") if one.node == "qa-2"]
    assert [one.status for one in late] == [409], "it came, and was refused"
    assert (ended(played), hits(played)) == ("clean", 0)


def test_row_16_an_inject_that_arrives_twice(stage: Stage) -> None:
    for seconds in (0.01, 5.0, 19.0):
        twice = Event(In.INJECTING, What.MESSAGES_DOUBLED, node=1, seconds=seconds)
        played = run(stage, twice)
        injects = [one.status for one in heard(played, "inject") if one.node == "qa-2"]
        assert sorted(injects) == [200, 409]


def test_row_16_an_inject_that_is_asked_for_again(stage: Stage) -> None:
    """Signed, fresh and in sequence: the order itself must say no."""
    again: list[Heard] = []

    def ask_again(universe: Universe) -> None:
        def ask(one: Heard) -> None:
            ours = one.order_id == str(universe.injection_id)
            if ours and one.verb == "inject" and one.node == "qa-2":
                universe.network.on_heard = again.append
                universe.kernel.after(6.0, lambda: universe.belay.inject_again("qa-2"))

        universe.network.on_heard = ask

    played = play(stage, Schedule(API, KILL, hold_s=20), before=ask_again)
    codes = [one.answer.get("code") for one in again if one.verb == "inject" and one.node == "qa-2"]
    assert codes == ["already_injected"]
    assert not played.problems, str(played)


def test_row_40_a_replayed_request_is_refused(stage: Stage) -> None:
    """The same bytes once more, to the same guard process and to the next one."""
    for killed in ((), (Event(In.ACTIVE, What.GUARD_KILLED, node=1, after_s=1.0),)):
        twice = Event(In.INJECTING, What.MESSAGES_DOUBLED, node=1, seconds=5.0)
        played = run(stage, twice, *killed)
        again = [one for one in heard(played, "inject") if one.status != 200]
        wanted = "stale_session" if killed else "stale_sequence"
        assert [one.answer["code"] for one in again] == [wanted]


def test_row_21_guard_killed_ten_times_in_a_row(stage: Stage) -> None:
    kills = [Event(In.ACTIVE, What.GUARD_KILLED, after_s=1.0 + 0.35 * index) for index in range(10)]
    played = run(stage, *kills)
    assert ended(played) == "clean"
    assert played.universe.hosts["qa-2"].workers == 11


def test_row_21_guard_killed_at_every_write(stage: Stage) -> None:
    for write in range(12):
        for after in (False, True):
            event = Event(In.ARMING, What.GUARD_KILLED_AT_WRITE, skip=write, lucky=after)
            run(stage, event)


def test_row_22_guard_stopped_and_continued(stage: Stage) -> None:
    gone = Event(In.ACTIVE, What.ALL_OF_OURS_KILLED, seconds=200.0)
    stopped = Event(In.ACTIVE, What.GUARD_STOPPED, after_s=40.0, seconds=9.0)
    played = run(stage, gone, stopped)
    assert ended(played) == "clean"
    assert max(lasted(played)) < LEASE_END_S + 9.0, "overdue: undone at once"


@pytest.mark.parametrize("lucky", [False, True])
def test_row_23_node_loses_power_at_every_write(stage: Stage, lucky: bool) -> None:
    for state in (In.ARMING, In.ACTIVE, In.UNDOING):
        for write in range(6):
            run(stage, Event(state, What.POWER_CUT_AT_WRITE, skip=write, lucky=lucky))


def test_row_23_node_loses_power_while_armed_or_active(stage: Stage) -> None:
    for state in (In.ARMED, In.ACTIVE):
        played = run(stage, Event(state, What.POWER_CUT, after_s=0.5, seconds=30.0))
        assert (ended(played), played.verdict) == ("clean", "inconclusive")


def test_row_23_power_lost_with_all_of_ours_dead(stage: Stage) -> None:
    dead = Event(In.ACTIVE, What.ALL_OF_OURS_KILLED, seconds=300.0)
    cut = Event(In.ACTIVE, What.POWER_CUT, after_s=2.0, seconds=10.0, lucky=True)
    played = run(stage, dead, cut)
    assert (ended(played), played.verdict) == ("clean", "inconclusive")
    assert min(lasted(played)) < 2.0 + 10.0 + 10.0, "undone after the boot, not at its old lease"


def test_row_24_wall_clock_stepped(stage: Stage) -> None:
    for what in (What.CLOCK_BACK, What.CLOCK_FORWARD):
        step = Event(In.ACTIVE, what, after_s=3.0, seconds=60.0)
        assert [round(each) for each in lasted(run(stage, step))] == [20, 20, 20]
        aborted = run(stage, step, Event(In.ACTIVE, What.ABORT, after_s=5.0))
        assert max(lasted(aborted)) < 5.0 + 2.0


@pytest.mark.parametrize("step", [What.CLOCK_FORWARD, What.CLOCK_BACK])
def test_row_24_a_clock_that_is_set_right_again_neither_keeps_nor_spares_the_watching(
    stage: Stage, step: What
) -> None:
    # The restoration is noted an hour wrong, then whoever noted it dies.
    played = run(
        stage,
        Event(In.ACTIVE, step, seconds=30.0),
        Event(In.OBSERVING, What.CONDUCTOR_KILLED, 12.0),
    )
    since = next(at for at, state in played.trail if state == "observing")
    until, state = played.trail[-1]
    assert state == "clean", str(played)
    assert 20.0 <= until - since < 100.0, str(played)


def test_row_25_the_guards_disk_is_full(stage: Stage) -> None:
    played = run(stage, Event(In.ARMING, What.DISK_FULL, node=1, seconds=60.0))
    assert (ended(played), played.verdict, hits(played)) == ("clean", "inconclusive", 0)
    before = run(stage, Event(In.PREFLIGHT, What.DISK_FULL, node=1, seconds=60.0))
    assert (ended(before), hits(before)) == ("refused", 0), "the rehearsal finds it first"


def test_row_26_kubelet_restarted_while_the_api_is_down(stage: Stage) -> None:
    played = run(stage, Event(In.ACTIVE, What.KUBELET_STOPPED, after_s=10.0, seconds=20.0))
    assert (ended(played), played.verdict) == ("clean", "held")


def test_row_27_the_api_server_does_not_come_back(stage: Stage) -> None:
    played = run(stage, Event(In.UNDOING, What.KUBELET_STOPPED, seconds=260.0))
    strikes = played.universe.machines["qa-2"].strikes
    assert [one.what for one in strikes].count("take") == 2, "one nudge, no more"
    assert "undo_stuck" in [state for _at, state in played.trail]
    assert (ended(played), played.verdict) == ("clean", "inconclusive")
