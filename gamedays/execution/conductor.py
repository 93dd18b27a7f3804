"""Conducts one injection: a step function from what is to what is due next.

`advance()` reads the row, does at most one thing in the world, and says when it wants to be
called again. It never waits for longer than a guard call's deadline, keeps no thread of its own,
and can be thrown away and made anew at any moment: whoever comes next reads the row and goes on,
and from `arming` on the only ways are forward (this conductor, this process) or `undoing`.

Order of writes (ARCHITECTURE.md): recipe and fingerprint are committed before anything is
armed; `armed` and `injecting` before anything is injected; `undoing` before the undo. With the
database gone the undo comes first and is recorded later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamedays.choices import EntryKind, InjectionState
from gamedays.execution import arming, meanwhile, preflight, rehearsal
from gamedays.execution.recipe import NotReadyError
from gamedays.execution.rehearsal import Rehearsal
from gamedays.execution.stops import Breach, StopConditions
from gamedays.execution.way_back import TICK_S, WayBack
from gamedays.scenarios.registry import get_scenario

if TYPE_CHECKING:
    import uuid

    from gamedays.execution.world import PodCensus, Run, Sample, World

_S = InjectionState
STEADY_S = 5.0
"""How much steady state must have been seen before a fault."""
NOW_S = 4.0
"""What the latest looks show must be good too: the checks may take half a minute and more."""
PODS_S = 30.0
"""Within this time all pods must have been listed once: whoever is lost has to be known before."""
BITE_S = 20.0
"""How long after inject the target must be seen dead."""
LATE_S = 600.0
"""A fault that nobody conducted for so long after its time is not begun any more: whoever asked
for it has stopped watching."""


class Conductor(WayBack):
    """The way forward, for the one process that claimed the injection first."""

    def __init__(self, injection_id: uuid.UUID, fence: int, world: World) -> None:
        super().__init__(injection_id, fence, world)
        self._may_inject = False
        self._injected_here = False
        self._happened = False
        self._still_there = False
        self._steady_tally: dict[int, tuple[int, int]] = {}
        self._lately: list[Sample] = []
        self._preflight_done = False
        self._watching_since: float | None = None
        self._rehearsal = Rehearsal(injection_id, (), world)
        self._stops = StopConditions(world.watch.probes)
        self._breach: Breach | None = None
        self._steps |= {
            _S.PLANNED: self._planned,
            _S.PREFLIGHT: self._preflight,
            _S.ARMING: self._arming,
            _S.ARMED: self._armed,
            _S.INJECTING: self._injecting,
            _S.ACTIVE: self._active,
        }

    def _planned(self, run: Run) -> float | None:
        late_s = (self._world.clock.now() - run.due_at).total_seconds()
        if late_s > LATE_S:
            return self._refuse(
                run,
                f"No worker took it up for {late_s / 60:.0f} minutes after its time, and who asked "
                "for it may not be watching any more. Look whether workers and broker run, then "
                "start again.",
            )
        self._move(
            run,
            _S.PREFLIGHT,
            text="Checking the steady state before anything is touched.",
            preflight_at=self._world.clock.now(),
        )
        return 0.0

    def _preflight(self, run: Run) -> float | None:
        if run.abort_requested_at:
            return self._never_armed(run)
        if not self._preflight_done:
            problems = preflight.look(run, self._world)
            if problems:
                return self._refuse(run, " ".join(problems))
            unrehearsed = self._world.rows.unrehearsed(run, preflight.targets(run, self._world))
            self._rehearsal = Rehearsal(run.id, unrehearsed, self._world)
            self._preflight_done = True
            self._watching_since = self._world.clock.monotonic()
        if not self._rehearsal.done:
            self._rehearse(run)
        now = self._world.clock
        waited = now.monotonic() - (self._watching_since or 0.0)
        if not self._pods_counted and waited > PODS_S:
            return self._refuse(
                run,
                f"The pods could not be listed within {PODS_S:.0f} s, so nobody could tell "
                "afterwards which of them were lost.",
            )
        ready = self._pods_counted and self._rehearsal.done
        if waited < STEADY_S or not ready or now.now() < run.due_at:
            return TICK_S
        problems = preflight.steady(run, self._steady_tally, self._world, self._lately)
        if problems:
            return self._refuse(run, " ".join(problems))
        unrehearsed = self._world.rows.unrehearsed(run, preflight.targets(run, self._world))
        if unrehearsed:
            return self._refuse(run, self._why_unrehearsed(unrehearsed))
        return self._commit_recipe(run)

    def _rehearse(self, run: Run) -> None:
        """Beside the look at the steady state: neither waits for the other."""
        self._rehearsal.advance()
        if self._rehearsal.done:
            results = self._rehearsal.results
            self._world.rows.write_rehearsals(run, results.values())
            text = rehearsal.summary(results)
            self._world.rows.write_entry(run, kind=EntryKind.EVIDENCE, text=text)

    def _why_unrehearsed(self, nodes: list[str]) -> str:
        results = self._rehearsal.results
        why = [f"{node}: {results[node].detail}" for node in nodes if node in results]
        return (
            f"The undo was not rehearsed with success on {', '.join(nodes)}, so nobody knows "
            f"whether a fault there would be undone. {' '.join(why)} Look at the guard there "
            "(`manage.py guard status CLUSTER`), then start again."
        )

    def _refuse(self, run: Run, reason: str) -> float:
        self._rehearsal.end()
        return super()._refuse(run, reason)

    def _commit_recipe(self, run: Run) -> float | None:
        try:
            recipe, fingerprint = preflight.prepare(run, self._world)
        except NotReadyError as error:
            return self._refuse(run, str(error))
        moved = self._move(
            run,
            _S.ARMING,
            recipe=recipe,
            fingerprint=fingerprint,
            kind=EntryKind.STATE,
            text="The way back is written down. Arming it on "
            f"{', '.join(sorted(recipe['faults']))}.",
        )
        # An emergency stop, or somebody who took over: the next look at the row tells which.
        return self._arming(moved, fresh=True) if moved else 0.0

    def _arming(self, run: Run, *, fresh: bool = False) -> float | None:
        if not fresh:
            return self._lost(run)
        problems = arming.arm_and_read_back(run, self._world)
        if problems:
            return self._begin_undo(run, "Arming failed: " + " ".join(problems))
        moved = self._move(
            run,
            _S.ARMED,
            armed_at=self._world.clock.now(),
            text="Armed: every target node has the way back on its disk, and it was read back.",
        )
        if moved is None:
            return None
        self._may_inject = True
        return self._armed(moved)

    def _armed(self, run: Run) -> float | None:
        if not self._may_inject:
            return self._lost(run)
        if run.abort_requested_at:
            return self._begin_undo(run, self._aborted(run))
        # The database decides between this and a click on Abort at the same moment.
        moved = self._move(
            run,
            _S.INJECTING,
            text="Injecting.",
            injecting_at=self._world.clock.now(),
            unless_aborted=True,
        )
        if moved is None:
            return 0.0  # aborted meanwhile, or somebody took over: the next look tells which
        self._may_inject = False  # whatever happens from here on, never a second time
        refused = arming.inject(moved, self._world)
        if refused:
            return self._begin_undo(
                moved, "Not every node said that it injected. " + " ".join(refused)
            )
        self._injected_here = True
        return self._injecting(moved)

    def _injecting(self, run: Run) -> float | None:
        if not self._injected_here:
            return self._lost(run)
        if run.abort_requested_at:
            return self._begin_undo(run, self._aborted(run))
        seen = arming.look_for_bite(run, self._world)
        if seen.undone_by_itself:
            return self._begin_undo(run, seen.undone_by_itself)
        if seen.bitten:
            self._move(
                run,
                _S.ACTIVE,
                bitten_at=self._world.clock.now(),
                data=seen.evidence,
                text="The fault is live: " + seen.sentence,
            )
            return TICK_S
        if self._in_state_s() > BITE_S:
            return self._begin_undo(run, "The fault was not seen to bite: " + seen.sentence)
        return TICK_S

    def _active(self, run: Run) -> float | None:
        if not self._injected_here:
            return self._lost(run)
        if run.abort_requested_at:
            return self._begin_undo(run, self._aborted(run))
        if self._breach is not None:
            return self._begin_undo(run, "", breach=self._breach)
        hold_s = get_scenario(run.scenario_key).hold_s(run.parameters)
        if self._in_state_s() >= hold_s:
            return self._begin_undo(run, "")
        itself = arming.undone_by_itself(run, self._world)
        if itself:
            return self._begin_undo(run, itself)
        if not self._happened and meanwhile.due(
            self._in_state_s(), hold_s, still_there=self._still_there
        ):
            self._happened = True  # whatever comes of it, never a second time
            meanwhile.happen(run, self._world)
        return min(TICK_S, max(0.0, hold_s - self._in_state_s()))

    def _look_at_pods(self, run: Run, census: PodCensus) -> None:
        self._still_there = meanwhile.still_there(run.recipe, census)

    def _count(self, run: Run, samples: list[Sample]) -> None:
        if run.state in (_S.INJECTING, _S.ACTIVE):
            self._breach = self._breach or self._stops.count(samples)
        if run.state is not _S.PREFLIGHT:
            return
        newest = max(sample.at for sample in samples)
        self._lately = [
            sample
            for sample in (*self._lately, *samples)
            if (newest - sample.at).total_seconds() < NOW_S
        ]
        for sample in samples:
            passed, attempts = self._steady_tally.get(sample.probe_id, (0, 0))
            self._steady_tally[sample.probe_id] = (
                passed + sample.passed,
                attempts + sample.attempts,
            )
