"""Conducts one injection: a step function from what is to what is due next.

`advance()` reads the row, does at most one thing in the world, and says when it wants to be
called again. It never waits for longer than a guard call's deadline, keeps no thread of its own,
and can be thrown away and made anew at any moment: whoever comes next reads the row and goes on,
and from `arming` on the only ways are forward (this conductor, this process) or `undoing`.

Order of writes (design section 6): recipe and fingerprint are committed before anything is
armed; `armed` and `injecting` before anything is injected; `undoing` before the undo. With the
database gone the undo comes first and is recorded later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gamedays.choices import BEFORE_ARMING, FINAL, EntryKind, InjectionState, PodSource
from gamedays.drivers.fleet import Phase
from gamedays.execution import arming, preflight, restoration
from gamedays.execution.world import RowsLostError, Run, Sample, World
from gamedays.scenarios.registry import get_scenario

if TYPE_CHECKING:
    import uuid

_S = InjectionState
TICK_S = 0.25
"""How often the row is read: an abort is on its way to the guards within one tick."""
ROW_RENEW_S = 2.0
GUARD_RENEW_S = 5.0
STEADY_S = 5.0
"""How much steady state must have been seen before a fault."""
PODS_S = 30.0
"""Within this time all pods must have been listed once: whoever is lost has to be known before."""
BITE_S = 20.0
"""How long after inject the target must be seen dead."""
UNDO_AGAIN_S = 1.0
UNDO_ALARM_S = 60.0
"""A guard that has not answered for this long after the undo was asked for: stuck, and an alarm."""
UNDO_SLOW_S = 120.0
"""The same where guards answer and are still at it. A kubelet that waits for an API server without
etcd gives up only after 34 s, twice (seen on the range), before it starts the pod again."""
RETRY_MAX_S = 30.0
_ORDER_LIVE = frozenset({_S.ARMING, _S.ARMED, _S.INJECTING, _S.ACTIVE})


class Conductor:
    """`undo_only` is how the watchdog conducts: it never arms and never injects."""

    def __init__(
        self, injection_id: uuid.UUID, fence: int, world: World, *, undo_only: bool = False
    ) -> None:
        self._id = injection_id
        self._fence = fence
        self._world = world
        self._undo_only = undo_only
        self._run: Run | None = None
        self._row_renewed_at = float("-inf")
        self._guards_renewed_at = float("-inf")
        self._undo_sent_at = float("-inf")
        self._looked_at = float("-inf")
        self._entered_at = world.clock.monotonic()
        self._entered_here = False
        """Whether this conductor saw the state begin, so that its own clock can measure it."""
        self._may_inject = False
        self._injected_here = False
        self._pods_counted = False
        self._steady_tally: dict[int, tuple[int, int]] = {}
        self._preflight_done = False
        self._watching_since: float | None = None
        self._retry_s = 1.0
        self._stop_reason = ""
        self._rows_were_lost = False
        self._steps: dict[InjectionState, Callable[[Run], float | None]] = {
            _S.PLANNED: self._planned,
            _S.PREFLIGHT: self._preflight,
            _S.ARMING: self._arming,
            _S.ARMED: self._armed,
            _S.INJECTING: self._injecting,
            _S.ACTIVE: self._active,
            _S.UNDOING: self._undoing,
            _S.VERIFYING: self._verifying,
            _S.UNDO_STUCK: self._stuck,
            _S.OBSERVING: self._observing,
        }

    def stop(self, reason: str) -> None:
        """Bring a live fault down because this process is told to end; then give up the lease."""
        self._stop_reason = self._stop_reason or reason

    def advance(self) -> float | None:
        """Do what is due; seconds until the next wake, or None when there is nothing left."""
        try:
            run = self._world.rows.read(self._id, self._fence)
            if run is None or run.state in FINAL:
                return None
            self._remember(run)
            if not self._renew(run):
                return None
            self._record(run)
            if self._rows_were_lost and run.state in _ORDER_LIVE:
                return self._begin_undo(run, "The database was away in the middle of the run.")
            self._rows_were_lost = False
            if self._stop_reason:
                return self._hand_over(run)
            if run.state is not _S.PLANNED:
                self._world.watch.start()
            return self._steps[run.state](run)
        except RowsLostError:
            return self._without_rows()

    # -- what happens in every tick ---------------------------------------------------------------

    def _remember(self, run: Run) -> None:
        if self._run is None or self._run.state != run.state:
            self._entered_at = self._world.clock.monotonic()
            self._entered_here = self._run is not None
            self._retry_s = 1.0
        self._run = run

    def _renew(self, run: Run) -> bool:
        """Row first, guards only after it, by this loop: a conductor that cannot decide any more
        must not keep the dead-man switch from falling."""
        now = self._world.clock.monotonic()
        if now - self._row_renewed_at >= ROW_RENEW_S:
            if not self._world.rows.renew(self._id, self._fence):
                return False
            self._row_renewed_at = now
            wants_lease = run.state in {_S.ARMED, _S.INJECTING, _S.ACTIVE}
            if wants_lease and now - self._guards_renewed_at >= GUARD_RENEW_S:
                self._guards_renewed_at = now
                self._world.guards.renew(run.order_id, self._targets(run))
        return True

    def _record(self, run: Run) -> None:
        samples = self._world.watch.drain_samples()
        if samples:
            self._tally(run, samples)
            self._world.rows.write_samples(run, samples)
        census = self._world.watch.drain_census()
        if census is not None:
            self._world.rows.write_census(run, census)
            self._pods_counted |= census.source is PodSource.API

    def _tally(self, run: Run, samples: list[Sample]) -> None:
        if run.state is not _S.PREFLIGHT:
            return
        for sample in samples:
            passed, attempts = self._steady_tally.get(sample.probe_id, (0, 0))
            self._steady_tally[sample.probe_id] = (
                passed + sample.passed,
                attempts + sample.attempts,
            )

    def _hand_over(self, run: Run) -> float | None:
        """Told to stop: bring down what may be live, then leave the rest to whoever comes next."""
        if run.state in BEFORE_ARMING:
            return self._refuse(run, self._stop_reason)
        if run.state in _ORDER_LIVE:
            return self._begin_undo(run, self._stop_reason)
        if run.state is _S.UNDOING and not self._all_undone(self._send_undo(run)):
            return TICK_S
        self._world.watch.stop()
        self._record(run)
        self._world.rows.give_up(self._id, self._fence)
        return None

    def _without_rows(self) -> float:
        """Undo first, record later. Before arming there is nothing to undo."""
        self._rows_were_lost = True
        run = self._run
        if run is not None and run.state not in BEFORE_ARMING:
            self._send_undo(run)
        return UNDO_AGAIN_S

    # -- one method per state ---------------------------------------------------------------------

    def _planned(self, run: Run) -> float | None:
        if self._undo_only:
            return self._refuse(run, "The conductor died before anything was armed.")
        self._move(
            run,
            _S.PREFLIGHT,
            text="Checking the steady state before anything is touched.",
            preflight_at=self._world.clock.now(),
        )
        return 0.0

    def _preflight(self, run: Run) -> float | None:
        if run.abort_requested_at:
            return self._refuse(run, f"Aborted by {run.abort_requested_by} before arming.")
        if self._undo_only:
            return self._refuse(run, "The conductor died before anything was armed.")
        if not self._preflight_done:
            problems = preflight.look(run, self._world)
            if problems:
                return self._refuse(run, " ".join(problems))
            self._preflight_done = True
            self._watching_since = self._world.clock.monotonic()
        now = self._world.clock
        waited = now.monotonic() - (self._watching_since or 0.0)
        if not self._pods_counted and waited > PODS_S:
            return self._refuse(
                run,
                f"The pods could not be listed within {PODS_S:.0f} s, so nobody could tell "
                "afterwards which of them were lost.",
            )
        if waited < STEADY_S or not self._pods_counted or now.now() < run.due_at:
            return TICK_S
        problems = preflight.steady(self._steady_tally, self._world)
        if problems:
            return self._refuse(run, " ".join(problems))
        return self._commit_recipe(run)

    def _commit_recipe(self, run: Run) -> float | None:
        try:
            recipe, fingerprint = preflight.prepare(run, self._world)
        except preflight.NotReadyError as error:
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
        return self._arming(moved, fresh=True) if moved else None

    def _arming(self, run: Run, *, fresh: bool = False) -> float | None:
        if not fresh:
            return self._begin_undo(run, "The conductor was lost while arming.")
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
        self._may_inject = not self._undo_only
        return self._armed(moved)

    def _armed(self, run: Run) -> float | None:
        if not self._may_inject:
            return self._begin_undo(run, "The conductor was lost before the fault.")
        if run.abort_requested_at:
            return self._begin_undo(run, self._aborted(run))
        self._may_inject = False  # whatever happens from here on, never a second time
        moved = self._move(
            run, _S.INJECTING, text="Injecting.", injecting_at=self._world.clock.now()
        )
        if moved is None:
            return None
        refused = arming.inject(moved, self._world)
        if refused:
            return self._begin_undo(moved, "The fault was not injected: " + " ".join(refused))
        self._injected_here = True
        return self._injecting(moved)

    def _injecting(self, run: Run) -> float | None:
        if not self._injected_here:
            return self._begin_undo(run, "The conductor was lost while injecting.")
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
        if self._undo_only or not self._injected_here:
            return self._begin_undo(run, "The conductor was lost while the fault was live.")
        if run.abort_requested_at:
            return self._begin_undo(run, self._aborted(run))
        hold_s = get_scenario(run.scenario_key).hold_s(run.parameters)
        if self._in_state_s() >= hold_s:
            return self._begin_undo(run, "")
        itself = arming.undone_by_itself(run, self._world)
        if itself:
            return self._begin_undo(run, itself)
        return min(TICK_S, max(0.0, hold_s - self._in_state_s()))

    def _undoing(self, run: Run) -> float | None:
        now = self._world.clock.monotonic()
        if now - self._undo_sent_at < UNDO_AGAIN_S:
            return TICK_S
        replies = self._send_undo(run)
        if self._all_undone(replies):
            changes: dict[str, Any] = {"undone_at": self._world.clock.now()}
            itself = arming.undone_by_itself_says(replies)
            if itself and not run.doubt:
                # Nobody saw when the fault ended: the window that is judged may be without one.
                changes["doubt"] = itself
            self._move(
                run,
                _S.VERIFYING,
                **changes,
                text="Every guard says that it is undone. Proving it on the cluster.",
            )
            return 0.0
        answered = all(reply.ok for reply in replies.values())
        if self._in_state_s() > (UNDO_SLOW_S if answered else UNDO_ALARM_S):
            why = restoration.why_not_undone(replies)
            self._move(
                run,
                _S.UNDO_STUCK,
                kind=EntryKind.ALARM,
                reason=why,
                text=f"The undo does not succeed: {why} It is tried again for ever; a "
                "person is needed.",
            )
        return TICK_S

    def _verifying(self, run: Run) -> float | None:
        checks = self._look_at_restoration(run)
        if checks is None:
            return TICK_S
        missing = [check for check in checks if check.passed is not True]
        if not missing:
            return self._restored(run, checks)
        budget_s = get_scenario(run.scenario_key).recovery_budget_s
        if self._since(run, "undo_asked") > budget_s:
            why = " ".join(check.sentence for check in missing[:4])
            self._move(
                run,
                _S.UNDO_STUCK,
                kind=EntryKind.ALARM,
                reason=why,
                data={"checks": [check.as_data() for check in checks]},
                text=f"Not restored within {budget_s} s: {why} A person is needed.",
            )
        return TICK_S

    def _stuck(self, run: Run) -> float | None:
        now = self._world.clock.monotonic()
        if now - self._looked_at < self._retry_s:
            return TICK_S
        self._looked_at = now
        self._retry_s = min(RETRY_MAX_S, self._retry_s * 2)
        replies = self._send_undo(run)
        if not self._all_undone(replies):
            return TICK_S
        checks = restoration.look(run, self._world)
        if all(check.passed is True for check in checks):
            return self._restored(run, checks)
        return TICK_S

    def _restored(self, run: Run, checks: list[restoration.Check]) -> float | None:
        self._move(
            run,
            _S.OBSERVING,
            kind=EntryKind.EVIDENCE,
            reason="",
            restored_at=self._world.clock.now(),
            data={"checks": [check.as_data() for check in checks]},
            text="Restored, proved: " + restoration.summary(checks),
        )
        return TICK_S

    def _observing(self, run: Run) -> float | None:
        observe_s = get_scenario(run.scenario_key).observe_s(run.parameters)
        # A stepped wall clock must not end the watching early; only a takeover has no other one.
        seen_s = self._in_state_s() if self._entered_here else self._since(run, "restored")
        if seen_s < observe_s:
            return TICK_S
        self._world.watch.stop()
        self._record(run)
        self._world.rows.close(run, self._world.clock.now())
        return None

    # -- helpers ----------------------------------------------------------------------------------

    def _move(
        self,
        run: Run,
        to: InjectionState,
        *,
        text: str,
        kind: EntryKind | None = None,
        data: dict[str, Any] | None = None,
        **changes: Any,
    ) -> Run | None:
        moved = self._world.rows.move(run, to, text=text, kind=kind, data=data, **changes)
        if moved is not None:
            self._remember(moved)
        return moved

    def _refuse(self, run: Run, reason: str) -> float:
        self._world.watch.stop()
        self._record(run)
        self._move(
            run,
            _S.REFUSED,
            text=f"Refused, nothing was touched. {reason}",
            reason=reason,
            ended_at=self._world.clock.now(),
        )
        return TICK_S

    def _begin_undo(self, run: Run, doubt: str) -> float:
        """Commit `undoing`, then undo. A lost compare-and-set means that a newer conductor has
        the run; a lost database means undo first."""
        if run.abort_requested_at and not doubt.startswith("Aborted"):
            # Whoever delivers it: a person asked for the end, and the verdict names them.
            doubt = f"{self._aborted(run)} {doubt}".strip()
        text = f"Restoring. {doubt}" if doubt else "The hold is over. Restoring."
        changes: dict[str, Any] = {"undo_asked_at": self._world.clock.now()}
        if doubt and not run.doubt:
            changes["doubt"] = doubt
        moved = self._move(run, _S.UNDOING, text=text, **changes)
        if moved is not None:
            self._send_undo(moved)
        return TICK_S

    def _send_undo(self, run: Run) -> dict[str, Any]:
        self._undo_sent_at = self._world.clock.monotonic()
        return self._world.guards.undo(run.order_id, self._targets(run))

    def _look_at_restoration(self, run: Run) -> list[restoration.Check] | None:
        now = self._world.clock.monotonic()
        if now - self._looked_at < 1.0:
            return None
        self._looked_at = now
        return restoration.look(run, self._world)

    @staticmethod
    def _all_undone(replies: dict[str, Any]) -> bool:
        return bool(replies) and all(
            reply.ok and reply.value.phase is Phase.UNDONE for reply in replies.values()
        )

    @staticmethod
    def _targets(run: Run) -> list[str]:
        return sorted(run.recipe.get("faults", {}))

    @staticmethod
    def _aborted(run: Run) -> str:
        return f"Aborted by {run.abort_requested_by}."

    def _in_state_s(self) -> float:
        return self._world.clock.monotonic() - self._entered_at

    def _since(self, run: Run, mark: str) -> float:
        """Seconds since a mark. Wall time, because a takeover has no monotonic past; a stepped
        clock can only lengthen or shorten the watching, never a deadline of the guards."""
        at = run.marks.get(mark)
        return (self._world.clock.now() - at).total_seconds() if at else 0.0
