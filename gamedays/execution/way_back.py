"""The way back: from wherever an injection stands to proof that the cluster is as before.

A step function from what is to what is due next. `advance()` reads the row, does at most one
thing in the world, and says when it wants to be called again. It never waits for longer than a
guard call's deadline, keeps no thread of its own, and can be thrown away and made anew at any
moment: whoever comes next reads the row and goes on.

Alone it is what a watchdog conducts with: it never arms and never injects. The conductor
(`conductor.py`) adds the way forward.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core.lost_rows import RowsLostError
from gamedays.choices import BEFORE_ARMING, FINAL, Alarm, EntryKind, InjectionState, PodSource
from gamedays.drivers.fleet import Phase
from gamedays.execution import accounts, arming, restoration
from gamedays.execution.stops import Breach
from gamedays.execution.world import Run, Sample, World
from gamedays.scenarios.registry import get_scenario

if TYPE_CHECKING:
    import datetime as dt
    import uuid

    from gamedays.execution.world import PodCensus

_S = InjectionState
TICK_S = 0.25
"""How often the row is read: an abort is on its way to the guards within one tick."""
WATCH_TICK_S = 1.0
"""The same while only watching: what comes is a sample a second, and nothing waits for a person."""
ROW_RENEW_S = 2.0
GUARD_RENEW_S = 5.0
UNDO_AGAIN_S = 1.0
UNDO_ALARM_S = 60.0
"""A guard that has not answered for this long after the undo was asked for: stuck, and an alarm."""
UNDO_SAID_STUCK_S = 5.0
"""The same where a guard itself says that a person is needed."""
ACCOUNT_AGAIN_S = 60.0
"""How much longer a run is watched while its account cannot be looked for at the end."""
RETRY_MAX_S = 30.0
_LOST = {
    _S.ARMING: "The conductor was lost while arming.",
    _S.ARMED: "The conductor was lost before the fault.",
    _S.INJECTING: "The conductor was lost while injecting.",
    _S.ACTIVE: "The conductor was lost while the fault was live.",
}
"""States with an order on the guards. Whoever finds one that it did not make itself undoes it."""


class WayBack:
    """Conducts one injection home. `fence` is the holder's; with an older one nothing changes."""

    def __init__(self, injection_id: uuid.UUID, fence: int, world: World) -> None:
        self._id = injection_id
        self._fence = fence
        self._world = world
        self._run: Run | None = None
        self._row_renewed_at = float("-inf")
        self._guards_renewed_at = float("-inf")
        self._undo_sent_at = float("-inf")
        self._looked_at = float("-inf")
        self._entered_at = world.clock.monotonic()
        self._undone_at: dt.datetime | None = None
        """When an undo that was stuck was seen to have succeeded after all."""
        self._pods_counted = False
        self._retry_s = 1.0
        self._stop_reason = ""
        self._rows_were_lost = False
        self._steps: dict[InjectionState, Callable[[Run], float | None]] = {
            _S.PLANNED: self._never_armed,
            _S.PREFLIGHT: self._never_armed,
            **dict.fromkeys(_LOST, self._lost),
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
            if self._rows_were_lost and run.state in _LOST:
                return self._begin_undo(
                    run,
                    "Belay lost its database in the middle of the run: it was away, or this "
                    "machine was too busy to keep the connection.",
                )
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
            self._count(run, samples)
            self._world.rows.write_samples(run, samples)
        census = self._world.watch.drain_census()
        if census is not None:
            self._world.rows.write_census(run, census)
            self._pods_counted |= census.source is PodSource.API
            self._look_at_pods(run, census)

    def _count(self, run: Run, samples: list[Sample]) -> None:
        """For whoever still has to decide whether the state is steady."""

    def _look_at_pods(self, run: Run, census: PodCensus) -> None:
        """For whoever still has to decide whether what the fault ends is gone."""

    def _hand_over(self, run: Run) -> float | None:
        """Told to stop: bring down what may be live, then leave the rest to whoever comes next."""
        if run.state in BEFORE_ARMING:
            return self._refuse(run, self._stop_reason)
        if run.state in _LOST:
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

    def _never_armed(self, run: Run) -> float | None:
        if run.abort_requested_at:
            return self._refuse(run, f"{self._aborted(run)[:-1]} before arming.")
        return self._refuse(run, "The conductor died before anything was armed.")

    def _lost(self, run: Run) -> float | None:
        return self._begin_undo(run, _LOST[run.state])

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
        # Guards that answer and are still at it have the time that the scenario's page promises. A
        # kubelet that waits for an API server without etcd gives up only after 34 s, twice (seen
        # on the range), before it starts the pod again.
        budget_s = float(get_scenario(run.scenario_key).recovery_budget_s)
        limit_s = budget_s if answered else UNDO_ALARM_S
        if any(reply.ok and reply.value.phase is Phase.STUCK for reply in replies.values()):
            limit_s = UNDO_SAID_STUCK_S
        # From when it was asked for: an undo that changes hands is no younger for it. Whoever has
        # just taken it over asks twice before people are called.
        waited_s = max(self._since(run, "undo_asked"), self._in_state_s())
        if waited_s > limit_s and self._in_state_s() >= 2 * UNDO_AGAIN_S:
            why = restoration.why_not_undone(replies)
            self._move(
                run,
                _S.UNDO_STUCK,
                kind=EntryKind.ALARM,
                reason=why,
                data={"alarm": Alarm.STUCK},
                text=f"Not undone {waited_s:.0f} s after it was asked for: {why} Belay "
                "goes on trying; a person is needed.",
            )
        return TICK_S

    def _verifying(self, run: Run) -> float | None:
        checks = self._look_at_restoration(run)
        if checks is None:
            return TICK_S
        missing = [check for check in checks if check.passed is not True]
        if not missing:
            checks += accounts.remove(run, self._world)
            missing = [check for check in checks if check.passed is not True]
        if not missing:
            return self._restored(run, checks)
        budget_s = get_scenario(run.scenario_key).recovery_budget_s
        # Whichever clock is further: the wall's may have been set back since the mark.
        if max(self._since(run, "undo_asked"), self._in_state_s()) > budget_s:
            why = " ".join(check.sentence for check in missing[:4])
            self._move(
                run,
                _S.UNDO_STUCK,
                kind=EntryKind.ALARM,
                reason=why,
                data={"alarm": Alarm.STUCK, "checks": [check.as_data() for check in checks]},
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
        if "undone" not in run.marks and self._undone_at is None:
            self._undone_at = self._world.clock.now()
        checks = restoration.look(run, self._world)
        if all(check.passed is True for check in checks):
            checks += accounts.remove(run, self._world)
        if all(check.passed is True for check in checks):
            return self._restored(run, checks)
        return TICK_S

    def _restored(self, run: Run, checks: list[restoration.Check]) -> float | None:
        late: dict[str, Any] = {} if self._undone_at is None else {"undone_at": self._undone_at}
        self._move(
            run,
            _S.OBSERVING,
            kind=EntryKind.EVIDENCE,
            reason="",
            restored_at=self._world.clock.now(),
            **late,
            data={"checks": [check.as_data() for check in checks]},
            text="Restored, proved: " + restoration.summary(checks),
        )
        return TICK_S

    def _observing(self, run: Run) -> float | None:
        observe_s = get_scenario(run.scenario_key).observe_s(run.parameters)
        # On this conductor's own clock, and anew after a takeover: a wall clock that was wrong when
        # the restoration was noted would end the watching at once, or keep it for an hour.
        over_s = self._in_state_s() - observe_s
        if over_s < 0:
            return min(WATCH_TICK_S, -over_s)
        # A conductor that slept while another took over may have gone on to mint an account.
        gone = all(check.passed is True for check in accounts.remove(run, self._world))
        if not gone and over_s < ACCOUNT_AGAIN_S:
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
        unless_aborted: bool = False,
        **changes: Any,
    ) -> Run | None:
        moved = self._world.rows.move(
            run, to, text=text, kind=kind, data=data, unless_aborted=unless_aborted, **changes
        )
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

    def _begin_undo(self, run: Run, doubt: str, *, breach: Breach | None = None) -> float:
        """Commit `undoing`, then undo. A lost compare-and-set means that a newer conductor has
        the run; a lost database means undo first.

        `doubt` makes the run inconclusive. A `breach` does not: it is evidence, committed with
        the move, so that nobody can take a fault that was cut short for one that held.
        """
        if run.abort_requested_at and not doubt.startswith("Aborted"):
            # Whoever delivers it: a person asked for the end, and the verdict names them.
            doubt = f"{self._aborted(run)} {doubt}".strip()
        text = f"Restoring. {doubt}".strip() if doubt or breach else "The hold is over. Restoring."
        changes: dict[str, Any] = {"undo_asked_at": self._world.clock.now()}
        if doubt and not run.doubt:
            changes["doubt"] = doubt
        if breach is not None:
            text = f"A stop condition ends the fault: {breach.sentence} {text}"
            changes |= {"kind": EntryKind.ALARM, "data": breach.as_data()}
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
        clock can only bring an alarm early, never move a deadline of the guards."""
        at = run.marks.get(mark)
        return (self._world.clock.now() - at).total_seconds() if at else 0.0
