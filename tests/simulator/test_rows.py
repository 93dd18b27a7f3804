"""The failure table, row by row, in the simulator: what breaks, and what must be true then.

Rows 29, 36, 38 to 40, 46 and 47 speak of registration, images, bookings, signatures, traffic steps
and refusals that no schedule can show; their tests lie beside those features.
"""

from __future__ import annotations

import pytest

from gamedays.choices import InjectionState as In
from guard.protocol import Component
from tests.people import API, ETCD
from tests.simulator.network import Heard
from tests.simulator.operations import Break, Trap
from tests.simulator.play import Played, Stage, play
from tests.simulator.schedule import STATES, Event, Schedule, What
from tests.simulator.universe import Universe

pytestmark = pytest.mark.long

LEASE_END_S = 45.0 + 8.0
ROW_LEASE_S = 15.0


def run(stage: Stage, *events: Event, scenario: str = API) -> Played:
    return done(play(stage, Schedule(scenario, events=events, hold_s=20)))


def broken(
    stage: Stage, step: str, breaks: Break, *events: Event, stop_s: float = 0.0, skip: int = 0
) -> Played:
    """A run whose conductor is broken at one named step."""
    trap = Trap("conductor", breaks, kinds=(step,), stop_s=stop_s, skip=skip)

    def lay(universe: Universe) -> None:
        universe.operations.traps.append(trap)

    played = done(play(stage, Schedule(API, events=events, hold_s=20), before=lay))
    assert trap.sprung == step, f"no conductor came to {step}: {played}"
    return played


def done(played: Played) -> Played:
    assert not played.problems, str(played)
    return played


def hits(played: Played) -> int:
    return sum(len(machine.strikes) for machine in played.universe.machines.values())


def lasted(played: Played) -> list[float]:
    """How long each manifest was away, in seconds."""
    machines = played.universe.machines.values()
    effects = [effect for machine in machines for effect in machine.effects]
    return [effect.until - effect.since for effect in effects if effect.until is not None]


def heard(played: Played, verb: str) -> list[Heard]:
    """What guards were asked about the run's own order, rehearsals aside."""
    order_id = str(played.universe.injection_id)
    everything = played.universe.network.heard
    return [one for one in everything if one.verb == verb and one.order_id == order_id]


def ended(played: Played) -> str:
    return played.trail[-1][1]


def test_a_run_that_nothing_disturbs_holds(stage: Stage) -> None:
    played = run(stage)
    assert (ended(played), played.verdict) == ("clean", "held")
    assert [round(each) for each in lasted(played)] == [20, 20, 20]


def test_row_01_conductor_killed_before_the_recipe_is_committed(stage: Stage) -> None:
    played = broken(stage, "db:move:arming", Break.KILL_BEFORE)
    assert ended(played) == "refused"
    assert not heard(played, "arm")


def test_row_02_after_the_recipe_before_arming(stage: Stage) -> None:
    played = broken(stage, "db:move:arming", Break.KILL_AFTER)
    assert (ended(played), hits(played)) == ("clean", 0)


def test_row_03_after_arming_two_of_three_nodes(stage: Stage) -> None:
    slow = Event(In.ARMING, What.MESSAGES_DELAYED, node=2, seconds=1.2)
    killed = Event(In.ARMING, What.CONDUCTOR_KILLED, after_s=0.6)
    played = run(stage, slow, killed)
    armed = {one.node for one in heard(played, "arm")}
    assert (ended(played), hits(played), len(armed)) == ("clean", 0, 2)


def test_row_03_a_node_that_lost_power_right_after_arming(stage: Stage) -> None:
    """It answered, and is gone before anybody could read the order back."""

    def lay(universe: Universe) -> None:
        def cut_power(one: Heard) -> None:
            if one.verb == "arm" and one.order_id == str(universe.injection_id):
                universe.hosts["qa-1"].reboot(5.0, lucky=False)

        universe.network.on_heard = cut_power

    played = done(play(stage, Schedule(API, hold_s=20), before=lay))
    assert (ended(played), hits(played)) == ("clean", 0)


def test_row_04_after_armed(stage: Stage) -> None:
    played = broken(stage, "db:move:armed", Break.KILL_AFTER)
    assert (ended(played), hits(played)) == ("clean", 0)


def test_row_05_after_injecting_is_committed_before_the_effect(stage: Stage) -> None:
    played = broken(stage, "db:move:injecting", Break.KILL_AFTER)
    assert (ended(played), played.verdict, hits(played)) == ("clean", "inconclusive", 0)


def test_row_06_after_the_effect_before_active_is_committed(stage: Stage) -> None:
    played = broken(stage, "db:move:active", Break.KILL_BEFORE)
    assert (ended(played), played.verdict) == ("clean", "inconclusive")
    assert len(lasted(played)) == 3, "once per node, never again"
    assert max(lasted(played)) < ROW_LEASE_S + 5


def test_row_07_during_active(stage: Stage) -> None:
    played = run(stage, Event(In.ACTIVE, What.CONDUCTOR_KILLED, after_s=1.0))
    assert (ended(played), played.verdict) == ("clean", "inconclusive")
    assert max(lasted(played)) < 1.0 + ROW_LEASE_S + 5


def test_row_08_in_mid_undo_one_of_three_nodes_restored(stage: Stage) -> None:
    away = [Event(In.UNDOING, What.PARTITION, node=node, seconds=12.0) for node in (1, 2)]
    played = run(stage, *away, Event(In.UNDOING, What.CONDUCTOR_KILLED, after_s=3.0))
    assert ended(played) == "clean"


def test_row_09_after_verify_before_clean(stage: Stage) -> None:
    played = broken(stage, "db:move:observing", Break.KILL_BEFORE)
    assert ended(played) == "clean"
    assert ended(broken(stage, "db:close", Break.KILL_BEFORE)) == "clean"


def test_row_10_every_process_of_ours_killed_and_the_api_down(stage: Stage) -> None:
    played = run(stage, Event(In.ACTIVE, What.ALL_OF_OURS_KILLED, seconds=200.0))
    assert (ended(played), played.verdict) == ("clean", "inconclusive")
    assert max(lasted(played)) < LEASE_END_S
    assert played.trail[-1][0] > 200, "the rows catch up when we are back"


def test_rows_12_and_16_messages_delivered_again_and_again(stage: Stage) -> None:
    for state in STATES:
        played = run(stage, Event(state, What.CONDUCT_AGAIN), scenario=ETCD)
        assert (ended(played), played.verdict) == ("clean", "held")
        assert len(lasted(played)) == 1


def test_row_13_postgresql_restarted(stage: Stage) -> None:
    played = run(stage, Event(In.ACTIVE, What.DATABASE_AWAY, after_s=2.0, seconds=30.0))
    assert (ended(played), played.verdict) == ("clean", "inconclusive")
    assert max(lasted(played)) < 2.0 + 4.0, "the conductor fences itself and undoes at once"


def test_row_14_commit_applied_but_the_client_saw_an_error(stage: Stage) -> None:
    for step in ("arming", "armed", "injecting", "active", "undoing", "verifying", "observing"):
        played = broken(stage, f"db:move:{step}", Break.LOSE_ANSWER)
        assert ended(played) == "clean"
        assert len(lasted(played)) in (0, 3)


def test_rows_15_and_37_abort_in_every_state(stage: Stage) -> None:
    for state in STATES:
        played = run(stage, Event(state, What.ABORT, after_s=0.01))
        assert ended(played) in ("clean", "refused")
    assert run(stage, Event(In.ACTIVE, What.ABORT, after_s=1.0)).verdict == "inconclusive"


def test_row_37_an_abort_reaches_the_guards_in_time(stage: Stage) -> None:
    click = Event(In.ACTIVE, What.ABORT, after_s=1.0)
    assert max(lasted(run(stage, click))) < 1.0 + 2.0
    stopped = Event(In.ACTIVE, What.CONDUCTOR_STOPPED, after_s=0.9, seconds=60.0)
    assert max(lasted(run(stage, stopped, click))) < 1.0 + 5.0, "from the watchdog"


def test_row_18_conductor_stopped_for_minutes_then_continued(stage: Stage) -> None:
    played = run(stage, Event(In.ACTIVE, What.CONDUCTOR_STOPPED, after_s=1.0, seconds=120.0))
    assert (ended(played), played.verdict) == ("clean", "inconclusive")
    assert len(lasted(played)) == 3


def test_row_18_conductor_stopped_before_its_renewal(stage: Stage) -> None:
    """It wakes up in the middle of a renewal, and another has the run: nothing may change."""
    event = Event(In.ACTIVE, What.CONDUCTOR_STOPPED, after_s=1.0, seconds=0.1)
    played = broken(stage, "db:renew", Break.STOP_BEFORE, event, stop_s=30.0, skip=10)
    assert ended(played) == "clean"


def test_row_28_a_second_fault_on_the_same_cluster(stage: Stage) -> None:
    for state in STATES:
        assert ended(run(stage, Event(state, What.SECOND_FAULT_ASKED))) == "clean"


def test_row_30_an_older_copy_of_belay_aims_at_the_cluster(stage: Stage) -> None:
    for state in (In.PREFLIGHT, In.ACTIVE, In.OBSERVING):
        played = run(stage, Event(state, What.OLDER_INSTALLATION))
        arms = [one for one in played.universe.network.heard if one.verb == "arm"]
        refused = [one for one in arms if one.status != 200]
        assert [one.answer["code"] for one in refused] == ["old_epoch"]
        assert (ended(played), len(lasted(played))) == ("clean", 3)


def test_row_31_database_restored_from_an_old_backup(stage: Stage) -> None:
    for state in (In.ARMED, In.ACTIVE, In.UNDOING, In.OBSERVING):
        for back in (1, 2, 3, 5):
            event = Event(state, What.DATABASE_RESTORED, after_s=1.0, skip=back)
            assert len(lasted(run(stage, event))) <= 3, "never injected a second time"


def test_row_32_a_person_edits_the_manifest_in_mid_fault(stage: Stage) -> None:
    event = Event(In.ACTIVE, What.TARGET_EDITED, after_s=2.0, node=1, seconds=160.0)
    played = run(stage, event)
    assert "undo_stuck" in [state for _at, state in played.trail]
    assert (ended(played), played.verdict) == ("clean", "inconclusive")


def test_row_33_something_else_reverts_the_fault(stage: Stage) -> None:
    played = run(stage, Event(In.ACTIVE, What.FAULT_REVERTED, after_s=2.0))
    assert (ended(played), played.verdict) == ("clean", "inconclusive")


def test_row_35_etcd_already_degraded(stage: Stage) -> None:
    def degrade(universe: Universe) -> None:
        machine = universe.machines["qa-1"]
        machine.kubelet_runs = False
        machine.running[Component.ETCD] = None
        universe.kernel.after(60.0, lambda: setattr(machine, "kubelet_runs", True))

    played = done(play(stage, Schedule(ETCD, hold_s=20), before=degrade))
    assert (ended(played), hits(played)) == ("refused", 0)
    assert "degraded" in played.reason


def test_row_41_steady_state_already_red(stage: Stage) -> None:
    played = done(play(stage, Schedule(API), before=lambda universe: universe.failing.add("shop")))
    assert (ended(played), hits(played)) == ("refused", 0)


def test_row_42_the_marker_is_missing(stage: Stage) -> None:
    def unmark(universe: Universe) -> None:
        universe.marked = False

    assert ended(done(play(stage, Schedule(API), before=unmark))) == "refused"


def test_row_42_the_marker_goes_before_arming(stage: Stage) -> None:
    def unmark_later(universe: Universe) -> None:
        universe.kernel.after(3.0, lambda: setattr(universe, "marked", False))

    played = done(play(stage, Schedule(API), before=unmark_later))
    assert (ended(played), hits(played)) == ("clean", 0)
    assert not heard(played, "arm")


def test_row_43_postgresql_stopped_in_mid_fault(stage: Stage) -> None:
    def freeze(universe: Universe) -> None:
        universe.database.freezes = True

    away = Event(In.ACTIVE, What.DATABASE_AWAY, after_s=2.0, seconds=60.0)
    played = done(play(stage, Schedule(API, events=(away,), hold_s=20), before=freeze))
    assert (ended(played), played.verdict) == ("clean", "inconclusive")
    assert max(lasted(played)) < 2.0 + 5.0 + 4.0, "the client's own deadline, then the undo"


def test_row_44_every_process_restarted_one_after_another(stage: Stage) -> None:
    deploy = (
        Event(In.ACTIVE, What.WATCHDOG_KILLED, after_s=1.0),
        Event(In.ACTIVE, What.CONDUCTOR_TOLD_TO_STOP, after_s=3.0),
        Event(In.ACTIVE, What.WATCHDOG_KILLED, after_s=6.0),
    )
    played = run(stage, *deploy)
    assert (ended(played), played.verdict) == ("clean", "inconclusive")
    assert max(lasted(played)) < 3.0 + 3.0


def test_row_45_a_conductor_that_wakes_up_between_its_commit_and_its_inject(stage: Stage) -> None:
    played = broken(stage, "db:move:injecting", Break.STOP_AFTER, stop_s=60.0)
    assert (ended(played), played.verdict, hits(played)) == ("clean", "inconclusive", 0)
    injects = heard(played, "inject")
    assert injects, "it did try, after the undo"
    assert {one.status for one in injects} == {409}


@pytest.mark.parametrize("setter_lives", [True, False])
def test_row_48_emergency_stop_in_every_state(stage: Stage, setter_lives: bool) -> None:
    for state in STATES:
        played = run(stage, Event(state, What.EMERGENCY_STOP, after_s=0.001, lucky=setter_lives))
        assert ended(played) in ("clean", "refused")
        if state in (In.PLANNED, In.PREFLIGHT, In.ARMING):
            assert hits(played) == 0, f"nothing is armed under a stop that was set in {state}"
    stop = Event(In.ACTIVE, What.EMERGENCY_STOP, after_s=1.0, lucky=setter_lives)
    assert max(lasted(run(stage, stop))) < 1.0 + 5.0


def test_an_order_that_cannot_be_read_back_is_never_injected_anywhere(stage: Stage) -> None:
    """A guard that says armed although nothing of it is on its disk."""

    def lie(universe: Universe) -> None:
        def begin() -> None:
            arming = universe.database.state(universe.injection_id) == In.ARMING
            universe.machines["qa-2"].disk.loses_orders |= arming

        universe.database.on_commit.append(begin)

    played = done(play(stage, Schedule(API, hold_s=20), before=lie))
    assert (ended(played), hits(played)) == ("clean", 0)


def test_a_guard_that_says_undone_and_did_nothing_is_not_believed(stage: Stage) -> None:
    def lie(universe: Universe) -> None:
        universe.hosts["qa-3"].says_undone = True

    played = done(play(stage, Schedule(API, hold_s=20), before=lie))
    assert ended(played) == "clean"
    assert 20 + 10 < max(lasted(played)) < 20 + LEASE_END_S, "its own lease ended it"


def test_the_hard_deadline_cannot_be_renewed(stage: Stage) -> None:
    """Somebody with our keys renews for ever and never undoes."""
    orders: list[str] = []

    def renew_for_ever(universe: Universe) -> None:
        orders.append(universe.belay.hold_for_ever("qa-2", Component.ETCD, hold_s=20))

    played = play(stage, Schedule(ETCD, hold_s=20), before=renew_for_ever)
    effects = played.universe.machines["qa-2"].effects
    held = [one for one in effects if one.order_id == orders[0]]
    assert [one.until is not None and one.until - one.since < 20 + 60 + 8 for one in held] == [True]
