"""Conducts one attempt forward: a step function from what is to what is due next.

Order of writes: how it is (`before`) is committed together with `changing`, before anything is
changed; only the process that made that move changes, and only then is `judging` committed. With
the database gone, what exposes users goes back first and is recorded later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import ClusterUnreachable
from migrator.choices import AttemptState, Direction, EntryKind
from migrator.execution.homeward import TICK_S, Homeward
from migrator.runners import checks
from migrator.runners.base import ForeignChangeError, Judged, Look, Stand, StepRefusedError

if TYPE_CHECKING:
    import uuid

    from migrator.execution.world import Trial, World

_S = AttemptState
LATE_S = 600.0
"""An attempt that nobody took up for so long is not begun: who asked for it is not watching."""
PREPARE_S = 30.0
"""For so long the cluster may be silent before anything was touched."""
CHANGE_S = 30.0
"""For so long it may be unknown whether the change was taken."""


class Conductor(Homeward):
    """The way forward, for whoever claimed the attempt."""

    def __init__(self, attempt_id: uuid.UUID, fence: int, world: World) -> None:
        super().__init__(attempt_id, fence, world)
        self._unknown_at: float | None = None
        self._may_change = False
        """This very process committed `changing`; nobody else changes."""
        self._tried = False
        """A change was sent whose answer said yes, or that nobody answered."""
        self._steps |= {
            _S.PLANNED: self._planned,
            _S.PREPARING: self._preparing,
            _S.CHANGING: self._changing,
            _S.JUDGING: self._judging,
        }

    def _planned(self, trial: Trial) -> float | None:
        if trial.back_asked:
            return self._refuse(trial, f"{trial.back_asked} took it back before it began.")
        if trial.direction is Direction.BACK and trial.before:
            self._move(
                trial,
                _S.RETURNING,
                text="Going back: putting back what was written down before the step.",
                returning_at=self._world.clock.now(),
            )
            return 0.0
        if why := self._too_late(trial):
            return self._refuse(trial, why)
        self._move(
            trial,
            _S.PREPARING,
            text="Writing down how it is, before anything is changed.",
            prepared_at=self._world.clock.now(),
        )
        return 0.0

    def _too_late(self, trial: Trial) -> str:
        late_s = (self._world.clock.now() - trial.asked_at).total_seconds()
        if late_s <= LATE_S or trial.direction is Direction.BACK:
            return ""
        return (
            f"No worker took it up for {late_s / 60:.0f} minutes, and who asked for it may not be "
            "watching any more. Look whether workers and broker run, then start again."
        )

    def _preparing(self, trial: Trial) -> float | None:
        if trial.back_asked:
            return self._refuse(trial, f"{trial.back_asked} took it back before anything changed.")
        # Asked again: what was started may have waited, and a gate may have closed meanwhile.
        if why := self._too_late(trial) or self._world.rows.held_up(trial):
            return self._refuse(trial, why)
        try:
            prepared = self._runner(trial).prepare(self._order(trial), self._hands)
        except StepRefusedError as error:
            return self._refuse(trial, error.message)
        except ClusterUnreachable as error:
            if self._in_state_s() > PREPARE_S:
                return self._refuse(
                    trial, f"The cluster gave no answer for {PREPARE_S:.0f} s: {error.message}."
                )
            return TICK_S
        if trial.direction is Direction.REHEARSAL and not prepared.changes:
            return self._refuse(
                trial,
                "It stands already as this step would set it: there is nothing to undo, and so "
                "nothing that could be rehearsed.",
            )
        moved = self._move(
            trial,
            _S.CHANGING,
            kind=EntryKind.EVIDENCE,
            text="How it was is written down. Changing: " + "; ".join(prepared.diff[:6]),
            data={"diff": prepared.diff},
            before=prepared.before,
            diff=prepared.diff,
            exposes=prepared.exposes,
        )
        if moved is None:
            return self._refuse(
                trial,
                "It was held up in the last moment: an emergency stop is set. Nothing was changed.",
            )
        self._may_change = True
        return 0.0

    def _changing(self, trial: Trial) -> float | None:
        if not self._may_change:
            if not trial.memory.get("continued"):
                # Committed by somebody who is gone: whether it was changed is seen, not assumed.
                return self._lost(trial)
            # A person let it go on: every change looks first what stands.
            self._may_change = self._tried = True
        if trial.back_asked:
            return self._turn_round(trial, f"{trial.back_asked} asked to go back.")
        if why := self._world.rows.held_up(trial):
            return self._turn_round(trial, why)
        runner, order = self._runner(trial), self._order(trial)
        try:
            runner.change(order, trial.before, self._hands)
            self._tried = True
            stand = runner.stand(order, trial.before, self._hands)
        except (StepRefusedError, ForeignChangeError) as error:
            return self._not_taken(trial, error.message)
        except ClusterUnreachable as error:
            self._tried = True
            return self._await_change(
                trial,
                f"For {CHANGE_S:.0f} s nobody could tell whether it was changed: {error.message}.",
            )
        if stand is Stand.OURS:
            self._move(
                trial,
                _S.JUDGING,
                kind=EntryKind.EVIDENCE,
                text="Changed, and seen to stand. Watching it.",
                memory={},
                changed_at=self._world.clock.now(),
            )
            return 0.0
        return self._await_change(trial, "The change was taken, but does not stand.")

    def _await_change(self, trial: Trial, why: str) -> float:
        return self._undo_change(trial, why) if self._in_state_s() > CHANGE_S else TICK_S

    def _undo_change(self, trial: Trial, why: str) -> float:
        if trial.direction is Direction.BACK:
            # Put back, it would be as the step left it, and that is not called back.
            return self._ask_a_person(trial, why)
        return self._turn_round(trial, why)

    def _not_taken(self, trial: Trial, why: str) -> float | None:
        """Refused where nothing of ours ever stood; otherwise it goes back, three-way."""
        try:
            runner, order = self._runner(trial), self._order(trial)
            ours = runner.anything_of_ours(order, trial.before, self._hands)
        except (ClusterUnreachable, StepRefusedError):
            ours = True  # nobody knows: the way back looks again
        touched = ours or self._tried
        return self._undo_change(trial, why) if touched else self._refuse(trial, why)

    def _judging(self, trial: Trial) -> float | None:
        if trial.exposes and not self._may_change:
            return self._lost(trial)
        if trial.back_asked:
            return self._turn_round(trial, f"{trial.back_asked} asked to go back.")
        look = self._look(trial)
        memory = dict(look.memory)
        if look.judged is Judged.UNKNOWN:
            # Since when is kept in the row, so that no new conductor begins to wait anew.
            since = trial.memory.get("unknown_since", self._world.clock.now().timestamp())
            memory["unknown_since"] = since
        seen = {"sentence": look.sentence, "judged": look.judged, "figures": look.figures}
        self._world.rows.note(trial, memory=memory, seen=seen)
        if look.judged is Judged.BROKE:
            return self._broke(trial, look.sentence)
        if look.judged is Judged.PASSED:
            return self._passed(trial, look)
        if look.judged is Judged.UNKNOWN:
            unknown_s = self._unknown_s(trial, float(memory["unknown_since"]))
            if unknown_s > self._runner(trial).unknown_for(trial.parameters):
                return self._broke(trial, f"Unknown for {unknown_s:.0f} s. {look.sentence}")
        else:
            self._unknown_at = None
        return max(TICK_S, look.again_s)

    def _unknown_s(self, trial: Trial, since: float) -> float:
        """Who exposes users is watched by one conductor, whose own clock nobody can step."""
        now = self._world.clock.monotonic()
        self._unknown_at = now if self._unknown_at is None else self._unknown_at
        own_s = now - self._unknown_at
        if trial.exposes:
            return own_s
        return max(own_s, self._world.clock.now().timestamp() - since)

    def _look(self, trial: Trial) -> Look:
        now = self._world.clock.now()
        # Who exposes users is watched by one conductor, whose own clock nobody can step.
        stood_s = self._in_state_s()
        if not trial.exposes and trial.changed_at is not None:
            stood_s = (now - trial.changed_at).total_seconds()
        try:
            look = self._runner(trial).judge(
                self._order(trial),
                trial.before,
                trial.memory,
                self._hands,
                stood_s=stood_s,
                now=now,
            )
        except (ClusterUnreachable, StepRefusedError) as error:
            return Look(
                judged=Judged.UNKNOWN,
                sentence=f"Unknown: {error.message}",
                memory=dict(trial.memory),
            )
        if look.judged is not Judged.PASSED:
            return look
        checked = checks.look(trial.check_kind, trial.check_parameters, self._hands)
        if checked.passed is True:
            return look
        if trial.check_kind == "confirm":
            # People take as long as people take; a tick makes the row due at once.
            return Look(
                judged=Judged.WAIT,
                sentence=f"{look.sentence} {checked.sentence}",
                memory=look.memory,
                figures=look.figures,
                again_s=600.0,
            )
        # A check has the time that a doubt has: what becomes true a moment later is true.
        return Look(
            judged=Judged.UNKNOWN,
            sentence=f"{look.sentence} {checked.sentence}",
            memory=look.memory,
            figures=look.figures,
        )

    def _broke(self, trial: Trial, why: str) -> float | None:
        runner = self._runner(trial)
        alone = runner.returns_alone(self._order(trial), trial.before)
        if trial.direction is Direction.REHEARSAL:
            alone = runner.returns_by_itself  # it goes back in any case
        if trial.direction is not Direction.BACK and alone:
            return self._turn_round(trial, f"By itself: {why}")
        return self._ask_a_person(trial, why)

    def _ask_a_person(self, trial: Trial, why: str) -> float:
        self._move(
            trial,
            _S.INTERRUPTED,
            kind=EntryKind.ALARM,
            text=f"It waits for a person: {why}",
            reason=why,
        )
        return 0.0

    def _passed(self, trial: Trial, look: Look) -> float | None:
        if trial.direction is Direction.REHEARSAL:
            return self._turn_round(trial, f"Done and checked: {look.sentence} Now undone.")
        self._accepting = True
        moved = self._move(
            trial,
            _S.DONE,
            kind=EntryKind.EVIDENCE,
            text=f"Done. {look.sentence}",
            data={"figures": look.figures},
            ended_at=self._world.clock.now(),
        )
        self._accepting = False
        # An emergency stop keeps it where it is: watched, and not accepted.
        return None if moved is not None else TICK_S

    def _refuse(self, trial: Trial, why: str) -> float | None:
        self._move(
            trial,
            _S.REFUSED,
            text=f"Refused, nothing was changed. {why}",
            reason=why,
            ended_at=self._world.clock.now(),
        )
        return None
