"""A run is repeated, each time with its conductor broken at another of its steps.

A step is a commit, a call to the guards or a call to the Kubernetes API. The conductor is killed
just before it, just after it, or it was done and the answer was lost.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.simulator.operations import Break, Trap
from tests.simulator.play import Played, Stage, play
from tests.simulator.schedule import FAULTS, Given, Schedule
from tests.simulator.universe import Universe

WAYS = (Break.KILL_BEFORE, Break.KILL_AFTER, Break.LOSE_ANSWER)
EVERYTHING = os.environ.get("BELAY_TEST_CRASH", "") == "all"
"""Every step in every way. Otherwise a share: every *kind* of step of every fault, its first and
(but for looks at the API) its last time, each in one of the three ways, by turns."""
_ONCE = ("kube:get", "kube:post self", "kube:marker", "kube:canary")


@dataclass
class Crashes:
    """What was tried on one fault."""

    fault: str
    steps: int
    """Of an undisturbed run."""
    tried: Counter[str] = field(default_factory=Counter)
    """How often, by way."""

    def __str__(self) -> str:
        ways = ", ".join(f"{self.tried[way]} {way}" for way in WAYS)
        return (
            f"{self.fault}: {self.steps} steps; {self.tried.total()} of"
            f" {self.steps * len(WAYS)} step × way tried ({ways})"
        )


def fault_id(part: object) -> str:
    """How pytest names one: scenario, then the values that were given."""
    return part if isinstance(part, str) else "-".join(dict(part).values())  # type: ignore[call-overload]


def crash_everywhere(stage: Stage, scenario: str, given: Given) -> Crashes:
    """Play the fault undisturbed, then broken at each step that is due; assert what must hold."""
    schedule = Schedule(scenario, given)
    whole = play(stage, schedule)
    assert not whole.problems, whole
    assert whole.trail[-1][1] == "clean", whole
    kinds = {name.partition(":")[0] for name in whole.operations}
    assert kinds == {"db", "guard", "kube"}, f"steps of every kind were expected: {kinds}"
    crashes = Crashes(
        f"{scenario} {' '.join(value for _name, value in given)}", len(whole.operations)
    )
    undoing_at = whole.operations.index("db:move:undoing")
    pairs = _all(stage, schedule) if EVERYTHING else _share(stage, schedule, whole)
    for step, way, played, trap in pairs:
        where = f"{way} at step {step} ({trap.sprung}) of {schedule}"
        assert trap.sprung, f"{where}: no conductor came so far\n{played}"
        assert not played.problems, f"{where}\n{played}"
        if way is not Break.LOSE_ANSWER and step < undoing_at:
            assert played.verdict != "held", f"{where}\n{played}"
        crashes.tried[way] += 1
    return crashes


Tried = tuple[int, Break, Played, Trap]


def _all(stage: Stage, schedule: Schedule) -> Iterator[Tried]:
    """Every step until a run completes: one with a lost answer may take more than others."""
    for way in WAYS:
        step = 0
        while True:
            played, trap = _broken(stage, schedule, step, way)
            if not trap.sprung:
                assert not played.problems, f"{way} never sprung: {played}"
                break
            yield step, way, played, trap
            step += 1


def _share(stage: Stage, schedule: Schedule, whole: Played) -> Iterator[Tried]:
    turn = FAULTS.index((schedule.scenario, schedule.given))
    names = whole.operations
    for name in dict.fromkeys(names):
        steps = [names.index(name)]
        if not name.startswith(_ONCE):
            steps.append(len(names) - 1 - names[::-1].index(name))
        for step in dict.fromkeys(steps):
            way = WAYS[turn % len(WAYS)]
            turn += 1
            yield step, way, *_broken(stage, schedule, step, way)


def _broken(stage: Stage, schedule: Schedule, step: int, way: Break) -> tuple[Played, Trap]:
    trap = Trap("conductor", way, skip=step)

    def lay(universe: Universe) -> None:
        universe.operations.traps.append(trap)

    return play(stage, schedule, before=lay), trap
