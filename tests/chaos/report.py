"""What the runs showed: a line each, the table, and build/chaos.json."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.plan import CELLS, SEED_FAMILIES, STATES, Cell, Family, Process, Way
from tests.chaos.story import Struck

LEAST_PER_FAMILY = 10
WHOLE_RUN = 100
"""Fewer injections than this are a trial: what they cover is shown, and not judged."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One run, judged."""

    number: int
    run_id: str
    at_s: float
    """Since the first run began."""
    family: Family
    scenario: str
    mode: str
    struck: Sequence[Struck]
    states: Sequence[str]
    verdict: str
    """Of the row; `refused` where nothing was armed."""
    reason: str
    injected: bool
    restoration_s: float | None
    took_s: float
    left: Sequence[str] = field(default_factory=tuple)
    """Traces of a fault when the row said that it was over."""
    wrong: Sequence[str] = field(default_factory=tuple)
    """Where rows and cluster contradict each other."""

    def line(self) -> str:
        """For the terminal."""
        path = " ".join(_short(self.states))
        restored = "-" if self.restoration_s is None else f"{self.restoration_s:.1f} s"
        struck = "; ".join(str(one) for one in self.struck) or "nobody struck"
        says = "" if self.injected else f" ({self.reason[:110]})"
        parts = (
            f"{self.number:3d} {self.scenario} {self.mode}",
            struck,
            path,
            f"{self.verdict}{says}",
            f"restored in {restored}, all in {self.took_s:.0f} s",
        )
        lines = [" | ".join(parts)]
        lines += [f"      FAULT LEFT BEHIND: {sentence}" for sentence in self.left]
        lines += [f"      ROWS DISAGREE: {sentence}" for sentence in self.wrong]
        return "\n".join(lines)


def _short(states: Sequence[str]) -> list[str]:
    """Letters for the ordinary way, words for what is not."""
    return [
        {"planned": "pl", "preflight": "pf", "arming": "ar", "armed": "ad", "injecting": "in",
         "active": "AC", "undoing": "un", "verifying": "ve", "observing": "ob"}.get(state, state)
        for state in states
    ]  # fmt: skip


class Report:
    """The runs so far. Written after every run, so that one that is cut short leaves some."""

    def __init__(self, path: Path, *, seed: int, planned: int) -> None:
        self._path = path
        self._seed, self._planned = seed, planned
        self.results: list[Result] = []
        self.trouble = ""
        """Why no further run was possible."""

    def add(self, result: Result) -> None:
        self.results.append(result)
        self.write()

    def write(self) -> None:
        """Replace the file as a whole."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._as_data(), indent=1) + "\n")
        fresh.rename(self._path)

    # -- figures ----------------------------------------------------------------------------------

    @property
    def injected(self) -> list[Result]:
        return [result for result in self.results if result.injected]

    def per_family(self) -> Counter[Family]:
        return Counter(result.family for result in self.injected)

    def strikes(self, way: Way) -> Counter[tuple[Process, str]]:
        """Process × state."""
        return Counter(
            (one.strike.process, one.state)
            for result in self.results
            for one in result.struck
            if one.strike.way is way
        )

    def cells_left(self) -> list[Cell]:
        """State × process of which nobody was killed yet, in their order."""
        kills = self.strikes(Way.KILL)
        return [(state, process) for state, process in CELLS if not kills[process, state]]

    def lacks_injections(self) -> bool:
        """Runs that were refused, or ended before their effect, are no injections."""
        return self._planned >= WHOLE_RUN and len(self.injected) < self._planned

    def restorations(self) -> list[float]:
        return sorted(r.restoration_s for r in self.results if r.restoration_s is not None)

    def failures(self) -> list[str]:
        """Every must that does not hold, as sentences; empty: all hold."""
        found = []
        if self.trouble:
            found.append(self.trouble)
        if left := sum(bool(result.left) for result in self.results):
            found.append(f"{left} run(s) left a fault behind")
        if wrong := sum(bool(result.wrong) for result in self.results):
            found.append(f"the rows of {wrong} run(s) disagree with the cluster")
        if not self.injected:
            found.append("nothing was injected at all")
        if self._planned < WHOLE_RUN:
            return found
        if self.lacks_injections():
            found.append(f"{len(self.injected)} injections of {self._planned} were made")
        families = self.per_family()
        found += [
            f"{families[family]} injections of {family}, not {LEAST_PER_FAMILY}"
            for family in SEED_FAMILIES
            if families[family] < LEAST_PER_FAMILY
        ]
        kills = self.strikes(Way.KILL)
        states = {state for _, state in kills}
        processes = {process for process, _ in kills}
        found += [f"nobody was killed in {state}" for state in STATES if state not in states]
        found += [f"{one} was never killed" for one in Process if one not in processes]
        return found

    # -- words ------------------------------------------------------------------------------------

    def table(self) -> str:
        """All figures, for a terminal."""
        families, verdicts = self.per_family(), Counter(r.verdict for r in self.results)
        made = f"{len(self.injected)} injections of {self._planned}, in {len(self.results)} runs"
        lines = [
            f"{made}; seed {self._seed}",
            "",
            "injections",
            *(f"  {family.value:28} {families[family]:4d}" for family in Family),
            "",
            *self._matrix("killed (SIGKILL)", Way.KILL),
            f"  {len(CELLS) - len(self.cells_left())} of {len(CELLS)} met",
            "",
            *self._matrix("stopped for up to 25 s (SIGSTOP), then continued", Way.STOP),
            "",
            "verdicts: " + ", ".join(f"{name} {count}" for name, count in verdicts.items()),
            f"faults left behind                        {self._count('left'):4d}  (must be 0)",
            f"runs whose rows disagree with the cluster {self._count('wrong'):4d}  (must be 0)",
            self._restoration_line(),
        ]  # fmt: skip
        failures = self.failures()
        lines += [f"NOT OK: {sentence}" for sentence in failures] or [self._ok]
        return "\n".join(lines)

    @property
    def _ok(self) -> str:
        if self._planned < WHOLE_RUN:
            return "ok: nothing was left and nothing untrue; a trial, so coverage was not judged"
        return "ok: every must holds"

    def _count(self, what: str) -> int:
        return sum(bool(getattr(result, what)) for result in self.results)

    def _restoration_line(self) -> str:
        times = self.restorations()
        if not times:
            return "undo asked → proved restored: no run"
        return (
            f"undo asked → proved restored: p50 {percentile(times, 50):.1f} s, "
            f"p99 {percentile(times, 99):.1f} s, max {times[-1]:.1f} s ({len(times)} runs)"
        )

    def _matrix(self, title: str, way: Way) -> list[str]:
        counts = self.strikes(way)
        states = [*STATES, *sorted({state for _, state in counts} - set(STATES))]
        head = "".join(f"{state[:10]:>11}" for state in states)
        lines = [f"{title}, process × state", f"  {'':15}{head}{'all':>6}"]
        for process in Process:
            row = [counts[process, state] for state in states]
            cells = "".join(f"{n or '·':>11}" for n in row)
            lines.append(f"  {process.value:15}{cells}{sum(row):>6}")
        return lines

    def _as_data(self) -> dict[str, Any]:
        times = self.restorations()
        return {
            "seed": self._seed,
            "planned": self._planned,
            "runs": len(self.results),
            "injections": {family.value: n for family, n in self.per_family().items()},
            "faults_left_behind": self._count("left"),
            "rows_that_disagree": self._count("wrong"),
            "restoration_s": {
                "p50": percentile(times, 50), "p99": percentile(times, 99),
                "max": times[-1] if times else None,
            },
            "failures": self.failures(),
            "results": [_as_data(result) for result in self.results],
        }  # fmt: skip


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The nearest rank of values in rising order; None without values."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _as_data(result: Result) -> dict[str, Any]:
    struck = [
        {
            "process": one.strike.process,
            "way": one.strike.way,
            "stopped_s": one.strike.stopped_s,
            "node": one.node,
            "state": one.state,
            "at_s": round(one.at_s, 3),
        }
        for one in result.struck
    ]
    told = {key: value for key, value in vars(result).items() if key != "struck"}
    return told | {"struck": struck}
