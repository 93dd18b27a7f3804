"""The way back of one attempt: from wherever it stands to proof that it is as before.

A step function: `advance()` reads the row, does at most one thing in the world, and says when it
wants to be called again. Whoever comes next reads the row and goes on. Alone it is what a watchdog
conducts with: it changes nothing forward. The conductor (`conductor.py`) adds the way forward.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.errors import ClusterUnreachable
from core.lost_rows import RowsLostError
from core.watchdog import LEASE_S
from migrator.choices import FINAL, AttemptState, Direction, EntryKind
from migrator.execution.fenced import FencedApi, LeaseLostError
from migrator.runners import checks
from migrator.runners.base import (
    ForeignChangeError,
    Order,
    Runner,
    StepRefusedError,
    differences,
)
from migrator.runners.registry import runner_of

if TYPE_CHECKING:
    import uuid

    from migrator.execution.world import Trial, World

_S = AttemptState
TICK_S = 1.0
RENEW_S = 2.0
RETRY_MAX_S = 30.0


class Homeward:
    """Conducts one attempt home. `fence` is the holder's; with an older one nothing changes."""

    def __init__(self, attempt_id: uuid.UUID, fence: int, world: World) -> None:
        self._id, self._fence, self._world = attempt_id, fence, world
        self._hands = replace(world.hands, api=FencedApi(world.hands.api, self._renew))
        self._trial: Trial | None = None
        self._renewed_at = float("-inf")
        self._entered_at = world.clock.monotonic()
        self._looked_at = float("-inf")
        self._retry_s = 1.0
        self._stop_reason = ""
        self._rows_were_lost = False
        self._alone, self._alone_at = False, float("-inf")
        """Without rows: whether nobody else can have taken over, and when that was last said."""
        self._accepting = False
        """The move to `done` was sent, and nobody knows whether it was taken."""
        self._steps: dict[AttemptState, Callable[[Trial], float | None]] = {
            _S.PLANNED: self._rest,
            _S.PREPARING: self._rest,
            _S.CHANGING: self._lost,
            _S.JUDGING: self._lost,
            _S.INTERRUPTED: self._waiting,
            _S.RETURNING: self._returning,
            _S.PROVING: self._proving,
            _S.STUCK: self._stuck,
        }

    def stop(self, reason: str) -> None:
        """This process is told to end: what exposes users goes back, the rest waits for another."""
        self._stop_reason = self._stop_reason or reason

    @property
    def holds(self) -> bool:
        """Whether the lease must not be let go of between two looks."""
        trial = self._trial
        return trial is not None and trial.exposes and trial.state in (_S.CHANGING, _S.JUDGING)

    @property
    def knows_rows(self) -> bool:
        """Whether the database answered the last time it was asked."""
        return not self._rows_were_lost

    def advance(self) -> float | None:
        """Do what is due; seconds until the next wake, or None when there is nothing left."""
        try:
            trial = self._world.rows.read(self._id, self._fence)
            if trial is None or trial.state in FINAL:
                return None
            self._remember(trial)
            self._accepting = False
            if not self._renew():
                return None
            if self._rows_were_lost and self.holds:
                return self._turn_round(
                    trial,
                    "Belay lost its database while this was watched: it was away, or this machine "
                    "was too busy to keep the connection.",
                )
            self._rows_were_lost = False
            if self._stop_reason and self.holds:
                return self._turn_round(trial, self._stop_reason)
            return self._steps[trial.state](trial)
        except LeaseLostError:
            return None
        except RowsLostError:
            return self._without_rows()

    # -- every tick -------------------------------------------------------------------------------

    def _remember(self, trial: Trial) -> None:
        if self._trial is None or self._trial.state != trial.state:
            self._entered_at = self._world.clock.monotonic()
            self._looked_at = float("-inf")
            self._retry_s = 1.0
        self._trial = trial

    def _renew(self, at_once: bool = False) -> bool:
        now = self._world.clock.monotonic()
        if at_once or now - self._renewed_at >= RENEW_S:
            if not self._world.rows.renew(self._id, self._fence):
                return False
            self._renewed_at = now
        return True

    def _without_rows(self) -> float:
        """Go back first, record later: who cannot prove the fence must not let users meet what
        nobody watches any more. Only while it is sure that nobody else has taken over, and only
        until it was seen to be back: what stands there later is somebody else's."""
        now = self._world.clock.monotonic()
        if not self._rows_were_lost:
            # A process that was stopped for longer than a lease may find the rows lost, too.
            self._alone = now - self._renewed_at < LEASE_S
        elif now - self._alone_at >= LEASE_S:
            self._alone = False
        self._rows_were_lost, self._alone_at = True, now
        trial = self._trial
        if trial is None or not self._alone or self._accepting:
            return TICK_S
        if self.holds or trial.state is _S.RETURNING:
            runner, order, hands = self._runner(trial), self._order(trial), self._world.hands
            # Asked again at the next wake, and told once there are rows to tell it in.
            with suppress(ClusterUnreachable, ForeignChangeError, StepRefusedError, RowsLostError):
                runner.undo(order, trial.before, hands)
                self._alone = not runner.is_back(order, trial.before, hands)
        return TICK_S

    # -- one method per state ---------------------------------------------------------------------

    def _rest(self, trial: Trial) -> float | None:
        """Nothing was touched: whoever looks next goes on from here, or turns it round."""
        self._world.rows.rest(self._id, self._fence, again_s=0.0)
        return None

    def _waiting(self, trial: Trial) -> float | None:
        if trial.back_asked:
            return self._turn_round(trial, f"{trial.back_asked} asked to go back.")
        # Until a person decides there is nothing to look at; their click makes it due.
        self._world.rows.rest(self._id, self._fence, again_s=3600.0)
        return None

    def _lost(self, trial: Trial) -> float | None:
        """Found without its conductor. What exposes users goes back. What was only looked at may
        be looked at again; of a change nobody knows whether it was made, and a person decides."""
        if trial.back_asked:
            return self._turn_round(trial, f"{trial.back_asked} asked to go back.")
        if trial.exposes:
            return self._turn_round(
                trial, "Its conductor was lost: the former state is put back by the watchdog."
            )
        if trial.state is _S.CHANGING:
            self._move(
                trial,
                _S.INTERRUPTED,
                kind=EntryKind.ALARM,
                reason="The process that made the change was lost in the middle of it. Continue: "
                "Belay looks what stands and goes on from there. Or go back.",
                text="Interrupted: its conductor was lost while changing. A person decides.",
            )
            return 0.0
        return self._rest(trial)

    def _returning(self, trial: Trial) -> float | None:
        runner = self._runner(trial)
        try:
            back = self._put_back(trial)
        except (ForeignChangeError, StepRefusedError) as error:
            return self._say_stuck(trial, error.message)
        except ClusterUnreachable as error:
            if self._returning_s(trial) > runner.return_s:
                return self._say_stuck(trial, f"The cluster does not answer: {error.message}.")
            return TICK_S
        if back:
            self._move(
                trial, _S.PROVING, text="The former state was put back. Proving that it is so."
            )
            return 0.0
        if self._returning_s(trial) > runner.return_s:
            return self._say_stuck(trial, "The former state does not stand after it was put back.")
        return runner.return_again_s

    def _proving(self, trial: Trial) -> float | None:
        found = self._prove(trial)
        if isinstance(found, str):
            if self._in_state_s() > self._settle_s(trial):
                return self._say_stuck(trial, found)
            return 600.0 if trial.back_check_kind == "confirm" else TICK_S
        return self._home(trial, found)

    def _stuck(self, trial: Trial) -> float | None:
        """Looks again with back-off. Somebody else's change is never overwritten, however long."""
        now = self._world.clock.monotonic()
        if now - self._looked_at < self._retry_s:
            return self._retry_s
        self._looked_at = now
        self._retry_s = min(RETRY_MAX_S, self._retry_s * 2)
        try:
            self._put_back(trial)
        except (ForeignChangeError, StepRefusedError, ClusterUnreachable):
            return self._retry_s
        found = self._prove(trial)
        return self._retry_s if isinstance(found, str) else self._home(trial, found)

    # -- helpers ----------------------------------------------------------------------------------

    def _put_back(self, trial: Trial) -> bool:
        """Whether it is as it was, after putting it back where it was not."""
        runner, order = self._runner(trial), self._order(trial)
        if runner.is_back(order, trial.before, self._hands):
            if trial.direction is not Direction.BACK and trial.changed_at is None:
                # Nobody saw the change stand: it may still be under way, and must come too late.
                runner.outdate(order, trial.before, self._hands)
            return True
        runner.undo(order, trial.before, self._hands)
        return runner.is_back(order, trial.before, self._hands)

    def _prove(self, trial: Trial) -> list[str] | str:
        """The differences that are left where it is proved to be back; a sentence where it is
        not, or where nobody could look."""
        runner, order = self._runner(trial), self._order(trial)
        try:
            if not runner.is_back(order, trial.before, self._hands):
                return "What stands there is not what was written down before the step."
            now = runner.fingerprint(order, trial.before, self._hands)
        except StepRefusedError as error:
            return error.message
        except ClusterUnreachable as error:
            return f"The cluster could not be asked: {error.message}."
        checked = checks.look(
            trial.back_check_kind, trial.back_check_parameters, self._hands, part="back"
        )
        if checked.passed is not True:
            return checked.sentence
        return differences(trial.before.get("fingerprint", {}), now)

    def _home(self, trial: Trial, left: list[str]) -> float | None:
        exact = "It equals what was written down before, field by field."
        told = exact if not left else f"Others changed meanwhile, and kept: {'; '.join(left[:5])}."
        self._move(
            trial,
            _S.RETURNED,
            kind=EntryKind.EVIDENCE,
            text=f"Back as before, proved. {told}",
            data={"differences": left},
            ended_at=self._world.clock.now(),
        )
        return None

    def _turn_round(self, trial: Trial, why: str) -> float:
        """Commit `returning`, then go back; a lost compare-and-set means that somebody newer has
        it."""
        moved = self._move(
            trial,
            _S.RETURNING,
            text=f"Going back. {why}",
            reason=why,
            returning_at=self._world.clock.now(),
        )
        if moved is not None:
            self._returning(moved)
        return TICK_S

    def _say_stuck(self, trial: Trial, why: str) -> float:
        self._move(
            trial,
            _S.STUCK,
            kind=EntryKind.ALARM,
            reason=why,
            text=f"Not back: {why} Belay looks again and again; a person is needed.",
            data={"alarm": "return_stuck"},
        )
        return TICK_S

    def _move(self, trial: Trial, to: AttemptState, *, text: str, **changes: Any) -> Trial | None:
        moved = self._world.rows.move(trial, to, text=text, **changes)
        if moved is not None:
            self._remember(moved)
        return moved

    @staticmethod
    def _runner(trial: Trial) -> Runner:
        return runner_of(trial.kind)

    @staticmethod
    def _order(trial: Trial) -> Order:
        return Order(
            attempt_id=str(trial.id),
            parameters=trial.parameters,
            going_back=trial.direction is Direction.BACK,
        )

    def _settle_s(self, trial: Trial) -> float:
        # A person who has to confirm takes as long as people take.
        asks_a_person = trial.back_check_kind == "confirm"
        return 86400.0 if asks_a_person else self._runner(trial).settle_s

    def _returning_s(self, trial: Trial) -> float:
        """Since it was asked for, and not since somebody else took it over. Whichever clock is
        further: the wall's may have been set back."""
        at = trial.returning_at
        asked_s = (self._world.clock.now() - at).total_seconds() if at else 0.0
        return max(asked_s, self._in_state_s())

    def _in_state_s(self) -> float:
        return self._world.clock.monotonic() - self._entered_at
