"""Following a run: who is struck when, and that nobody stays stopped."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest

from config.stack.processes import ProcessMark, mark
from tests.chaos.plan import Family, Fault, Process, Strike, Way
from tests.chaos.rows import PatientRows
from tests.chaos.story import Story, Told
from tests.chaos.victims import Paused, Victims
from tests.stack.running import RunningStack, wait_until

FAULT = Fault(family=Family.ETCD, scenario="etcd-member-down", parameters={}, nodes=("qa-2",))
PATH = ["preflight"] * 3 + ["arming"] * 2 + ["armed", "injecting"] + ["active"] * 3 + ["clean"]


class FakeRows:
    """A run that goes one step further at every look."""

    def __init__(self, path: Sequence[str | None]) -> None:
        self.path = path
        self.looks = 0

    def state(self, run_id: str) -> str | None:
        assert run_id == "run"
        self.looks += 1
        return self.path[min(self.looks, len(self.path)) - 1]

    def forget(self) -> None:
        """It has no connection."""


class FakeVictims(Victims):
    """Every process of a strike is one that does nothing."""

    def __init__(self, sleeper: ProcessMark) -> None:
        super().__init__(cast("RunningStack", None), cast("object", None))  # type: ignore[arg-type]
        self._sleeper = sleeper
        self.asked: list[tuple[Process, str]] = []

    def tree(self, process: Process, node: str) -> tuple[ProcessMark, ...]:
        self.asked.append((process, node))
        return (self._sleeper,)


@pytest.fixture
def sleeper() -> Iterator[ProcessMark]:
    process = subprocess.Popen(["sleep", "60"])
    found = mark(process.pid)
    assert found is not None
    yield found
    process.kill()
    process.wait()


def _state_letter(process: ProcessMark) -> str:
    with open(f"/proc/{process.pid}/stat") as stat:  # noqa: PTH123  of /proc
        return stat.read().rpartition(")")[2].split()[0]


def _run(story: Story, **given: Any) -> Told:
    told: dict[str, Any] = {
        "abort": lambda _run_id: None,
        "look_for_bite": list,
        "within_s": 5.0,
        "stop_asked": lambda: False,
    }
    return story.run(lambda: "run", **(told | given))


def _follow(sleeper: ProcessMark, path: list[str | None], *strikes: Strike, s: float = 5) -> Told:
    rows, victims = FakeRows(path), FakeVictims(sleeper)
    story = Story(
        rows=cast("PatientRows", rows), victims=victims, fault=FAULT, strikes=tuple(strikes)
    )
    aborted: list[str] = []
    return story.run(
        lambda: "run",
        abort=aborted.append,
        look_for_bite=list,
        within_s=s,
        stop_asked=lambda: False,
    )


@pytest.mark.parametrize("state", ["preflight", "arming", "armed", "injecting", "active", "clean"])
def test_a_strike_comes_in_its_state(sleeper: ProcessMark, state: str) -> None:
    told = _follow(sleeper, list(PATH), Strike(process=Process.GUARD, way=Way.KILL, state=state))
    assert [(one.state, one.node) for one in told.struck] == [(state, "qa-2")]
    assert (told.state, told.missed) == ("clean", [])
    wait_until(lambda: not sleeper.alive, within_s=10, what="it is dead", every_s=0.01)


def test_a_strike_may_fall_later_into_injecting_and_tells_where_it_fell(
    sleeper: ProcessMark,
) -> None:
    late = Strike(process=Process.GUARD, way=Way.KILL, state="injecting", draw=41)
    told = _follow(sleeper, list(PATH), late)
    assert [(one.state, one.strike) for one in told.struck] == [("active", late)]
    assert told.struck[0].at_s >= late.into_state_s > 0


def test_a_strike_whose_state_never_came_is_missed(sleeper: ProcessMark) -> None:
    late = Strike(process=Process.WEB, way=Way.KILL, state="armed")
    told = _follow(sleeper, ["preflight", "refused"], late)
    assert (told.struck, told.missed, told.state) == ([], [late], "refused")
    assert _state_letter(sleeper) == "S"


def test_whoever_is_stopped_is_continued_when_the_time_is_over(sleeper: ProcessMark) -> None:
    path: list[str | None] = ["active"] * 40
    stop = Strike(process=Process.BEAT, way=Way.STOP, after_s=0.05, stopped_s=0.2)
    told = _follow(sleeper, path, stop, s=0.6)
    assert [one.strike for one in told.struck] == [stop]
    wait_until(lambda: _state_letter(sleeper) == "S", within_s=10, what="it goes on", every_s=0.01)


def test_the_bite_is_looked_for_once_when_the_row_says_active(sleeper: ProcessMark) -> None:
    rows, looks = FakeRows(PATH), iter((["qa-2 drops no packets"],))
    story = Story(
        rows=cast("PatientRows", rows), victims=FakeVictims(sleeper), fault=FAULT, strikes=()
    )
    told = _run(story, look_for_bite=lambda: next(looks))
    assert (told.not_seen, told.state) == (["qa-2 drops no packets"], "clean")


def test_the_rows_are_not_asked_while_the_database_is_stopped(sleeper: ProcessMark) -> None:
    rows, victims = FakeRows(["active"]), FakeVictims(sleeper)
    victims._paused.append(Paused(process=Process.POSTGRES, tree=(sleeper,), until=float("inf")))
    story = Story(rows=cast("PatientRows", rows), victims=victims, fault=FAULT, strikes=())
    told = story.run(
        lambda: "run",
        abort=lambda _: None,
        look_for_bite=list,
        within_s=0.1,
        stop_asked=lambda: False,
    )
    assert (rows.looks, told.state) == (0, None)


def test_a_stop_that_is_asked_for_aborts_once_and_still_follows_to_the_end(
    sleeper: ProcessMark,
) -> None:
    rows = FakeRows(["active"] * 5 + ["undoing", "clean"])
    aborted: list[str] = []
    story = Story(
        rows=cast("PatientRows", rows),
        victims=FakeVictims(sleeper),
        fault=FAULT,
        strikes=(Strike(process=Process.WEB, way=Way.KILL, state="undoing"),),
    )
    told = story.run(
        lambda: "run", abort=aborted.append, look_for_bite=list, within_s=5, stop_asked=lambda: True
    )
    assert (aborted, told.state, told.struck) == (["run"], "clean", [])
