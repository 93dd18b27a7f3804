"""The failure table for changes of API objects and for cuts: what breaks, and what must be true."""

from __future__ import annotations

import pytest

from gamedays.choices import InjectionState as In
from tests.simulator.objects import ObjectEffect
from tests.simulator.operations import Break, Trap
from tests.simulator.play import Played, Stage, play
from tests.simulator.schedule import CUT, OBJECT_FAULTS, PRICES, WRONG, Event, Given, Schedule, What
from tests.simulator.test_rows import LEASE_END_S, done, ended, hits
from tests.simulator.universe import Universe

pytestmark = pytest.mark.long

IMAGE: Given = (("change", "bad-image"), PRICES)
LASTING = [fault for fault in OBJECT_FAULTS if fault[0] != "pods-killed"]
"""Those that leave something to be put back."""
each_lasting = pytest.mark.parametrize(
    ("scenario", "given"),
    LASTING,
    ids=lambda part: part if isinstance(part, str) else str(part[:1]),
)
DEADLINE_S = 60.0


def run(
    stage: Stage, *events: Event, scenario: str = WRONG, given: Given = IMAGE, hold_s: int = 20
) -> Played:
    return done(play(stage, Schedule(scenario, given, events, hold_s)))


def states(played: Played) -> list[str]:
    return [state for _at, state in played.trail]


def effects(played: Played) -> list[ObjectEffect]:
    return played.universe.objects.effects


@each_lasting
def test_a_change_is_made_once_and_taken_back(stage: Stage, scenario: str, given: Given) -> None:
    played = run(stage, scenario=scenario, given=given)
    assert (ended(played), played.verdict) == ("clean", "held")
    [effect] = effects(played)
    assert effect.until is not None
    assert 19.0 < effect.until - effect.since < 23.0


def test_row_10_every_process_of_ours_killed_while_an_object_is_changed(stage: Stage) -> None:
    played = run(stage, Event(In.ACTIVE, What.ALL_OF_OURS_KILLED, seconds=200.0))
    [effect] = effects(played)
    assert effect.until is not None
    assert effect.until - effect.since < LEASE_END_S
    assert (ended(played), played.verdict) == ("clean", "inconclusive")


@each_lasting
def test_row_32_a_person_changes_the_object_in_mid_fault(
    stage: Stage, scenario: str, given: Given
) -> None:
    """What they made of it stands until they put it back; the checker sees that it does."""
    played = run(
        stage,
        Event(In.ACTIVE, What.TARGET_EDITED, after_s=2.0, seconds=40.0),
        scenario=scenario,
        given=given,
    )
    assert ended(played) == "clean"
    if scenario != "node-drained":  # a node is open or closed: theirs is ours, and is taken back
        assert "undo_stuck" in states(played)


def test_row_32_another_field_that_somebody_writes_is_left_alone(stage: Stage) -> None:
    for state in (In.ACTIVE, In.UNDOING):
        played = run(stage, Event(state, What.TARGET_TOUCHED, after_s=1.0))
        assert ended(played) == "clean"
        assert "undo_stuck" not in states(played)


@each_lasting
def test_row_33_something_puts_the_object_back_in_mid_fault(
    stage: Stage, scenario: str, given: Given
) -> None:
    played = run(
        stage,
        Event(In.ACTIVE, What.FAULT_REVERTED, after_s=2.0),
        scenario=scenario,
        given=given,
    )
    assert (ended(played), played.verdict) == ("clean", "inconclusive")
    assert len(effects(played)) == 1, "never made again"


@pytest.mark.parametrize("expired", [False, True])
def test_row_34_the_runs_account_is_refused_in_mid_fault(stage: Stage, expired: bool) -> None:
    revoked = Event(In.ACTIVE, What.ACCOUNT_REVOKED, after_s=2.0, seconds=90.0, lucky=expired)
    played = run(stage, revoked)
    assert "undo_stuck" in states(played)
    assert ended(played) == "clean", "once the account is let in again"
    assert played.trail[-1][0] > 90.0


def test_row_34_the_guard_undoes_what_is_its_own_with_all_of_ours_gone(stage: Stage) -> None:
    revoked = Event(In.ACTIVE, What.ACCOUNT_REVOKED, after_s=2.0, seconds=60.0)
    gone = Event(In.ACTIVE, What.ALL_OF_OURS_KILLED, seconds=200.0)
    played = run(stage, revoked, gone)
    [effect] = effects(played)
    assert effect.until is not None
    assert effect.until - effect.since < 70.0, "as soon as it was let in"
    assert ended(played) == "clean"


@each_lasting
def test_row_45_a_change_that_arrives_after_the_undo(
    stage: Stage, scenario: str, given: Given
) -> None:
    """Nobody heard the answer, the guard undoes, and then the change arrives: 409."""
    late = Event(In.ARMED, What.API_CHANGE_LATE, seconds=2.2)
    played = run(stage, late, scenario=scenario, given=given)
    assert (ended(played), hits(played)) == ("clean", 0)
    assert played.universe.objects.late == [409]


def test_row_45_a_conductor_stopped_between_its_commit_and_the_inject(stage: Stage) -> None:
    trap = Trap("conductor", Break.STOP_AFTER, kinds=("db:move:injecting",), stop_s=90.0)

    def lay(universe: Universe) -> None:
        universe.operations.traps.append(trap)

    played = done(play(stage, Schedule(WRONG, IMAGE, hold_s=20), before=lay))
    assert trap.sprung
    assert (ended(played), hits(played)) == ("clean", 0)


def test_an_answer_that_was_lost_changes_nothing(stage: Stage) -> None:
    """Lost at the change, and at the undo: in both the guard looks again."""
    for state in (In.ARMED, In.UNDOING):
        played = run(stage, Event(state, What.API_ANSWER_LOST))
        assert ended(played) == "clean"


def test_an_api_that_is_away_only_delays_the_undo(stage: Stage) -> None:
    played = run(stage, Event(In.ACTIVE, What.API_AWAY, after_s=2.0, seconds=50.0))
    [effect] = effects(played)
    assert effect.until is not None
    assert effect.until - effect.since < 60.0
    assert ended(played) == "clean"


def test_an_account_that_could_not_be_finished_is_gone(stage: Stage) -> None:
    """The conductor dies at each step of minting: the checker finds nothing of it at clean."""
    for step in ("serviceaccounts", "roles", "rolebindings", "token"):
        for breaks in (Break.KILL_AFTER, Break.LOSE_ANSWER):
            trap = Trap("conductor", breaks, kinds=(f"kube:post {step}",))

            def lay(universe: Universe, trap: Trap = trap) -> None:
                universe.operations.traps.append(trap)

            played = done(play(stage, Schedule(WRONG, IMAGE), before=lay))
            assert trap.sprung
            assert (ended(played), hits(played)) == ("clean", 0)


def test_the_kernel_itself_ends_a_cut(stage: Stage) -> None:
    """With the conductor, the watchdog and every guard dead, parents too."""
    dead = Event(In.ACTIVE, What.ALL_OF_OURS_KILLED, after_s=1.0, seconds=300.0)
    guards = [
        Event(In.ACTIVE, What.GUARD_GONE, after_s=1.0, node=n, seconds=200.0) for n in (0, 1, 2)
    ]
    cut_until: dict[str, float] = {}

    def lay(universe: Universe) -> None:
        def look() -> None:
            for name, machine in universe.machines.items():
                if machine.rules.listed():
                    cut_until[name] = universe.kernel.now
            universe.kernel.after(1.0, look)

        look()

    played = done(play(stage, Schedule("registry-unusable", CUT, (dead, *guards), 20), before=lay))
    began = next(at for at, state in played.trail if state == "active")
    lasted = [until - began for until in cut_until.values()]
    assert len(lasted) == 3
    assert all(20 + DEADLINE_S - 5 < one <= 20 + DEADLINE_S for one in lasted), lasted
    assert (ended(played), played.verdict) == ("clean", "inconclusive")


def test_a_guard_that_says_undone_and_left_the_object_is_not_believed(stage: Stage) -> None:
    def lie(universe: Universe) -> None:
        universe.hosts["qa-1"].says_undone = True

    played = done(play(stage, Schedule(WRONG, IMAGE, hold_s=20), before=lie))
    [effect] = effects(played)
    assert effect.until is not None
    assert 20 + 10 < effect.until - effect.since < 20 + LEASE_END_S, "its own lease ended it"
    assert ended(played) == "clean"
