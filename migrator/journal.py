"""The one write path for what an attempt came to: states, looks, history, and its end.

Every change is one transaction that first proves the fence and then names the state that it
leaves. Losing either changes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from core.lost_rows import with_deadline
from core.redaction import redact_shapes
from core.selectors import current_stop
from migrator.choices import (
    ALLOWED,
    FINAL,
    FORWARD_MOVES,
    UNTOUCHED,
    AttemptState,
    Direction,
    EntryKind,
)
from migrator.execution.world import Trial
from migrator.gates import closed, left_out_of, stop_sentence
from migrator.models import Attempt, HistoryEntry, Step, StepLease
from migrator.operations.ending import end_attempt

if TYPE_CHECKING:
    import uuid

_TEXTS = ("reason", "diff")
"""Columns that hold what others said. Never `before`: it is put back word for word, and a runner
refuses to write a secret down."""


class Journal:
    """`Rows` of the step functions, on PostgreSQL."""

    @with_deadline
    def read(self, attempt_id: uuid.UUID, fence: int) -> Trial | None:
        found = Attempt.objects.select_related("back_asked_by")
        row = found.filter(pk=attempt_id, lease__fence=fence).first()
        return _as_trial(row, fence) if row else None

    @with_deadline
    def renew(self, attempt_id: uuid.UUID, fence: int) -> bool:
        return _prove_fence(attempt_id, fence)

    @with_deadline
    def held_up(self, trial: Trial) -> str:
        if trial.direction is Direction.BACK:
            return ""
        stop = current_stop()
        if stop is not None:
            return stop_sentence(stop)
        if trial.state not in UNTOUCHED:
            return ""
        step = Step.objects.select_related("plan__service", "plan__cluster", "rollback").get(
            attempts=trial.id
        )
        holding = closed(step, without=left_out_of(trial.direction))
        return " ".join(each.sentence for each in holding)

    @with_deadline
    def move(
        self,
        trial: Trial,
        to: AttemptState,
        *,
        text: str,
        kind: EntryKind = EntryKind.STATE,
        data: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Trial | None:
        if to not in ALLOWED[trial.state]:
            raise ValueError(f"an attempt never goes from {trial.state} to {to}")
        with transaction.atomic():
            if not _prove_fence(trial.id, trial.fence):
                return None
            if to in FORWARD_MOVES and trial.direction is not Direction.BACK and current_stop():
                return None
            said = {name: redact_shapes(changes[name]) for name in _TEXTS if name in changes}
            rows = Attempt.objects.filter(pk=trial.id, state=trial.state).update(
                state=to, due_at=timezone.now(), **{**changes, **said}
            )
            if rows != 1:
                transaction.set_rollback(True)
                return None
            attempt = Attempt.objects.select_related("step", "plan__service", "plan__cluster").get(
                pk=trial.id
            )
            HistoryEntry.objects.create(
                plan_id=attempt.plan_id,
                step_id=attempt.step_id,
                attempt=attempt,
                at=timezone.now(),
                kind=kind,
                text=redact_shapes(text),
                data=redact_shapes({**(data or {}), "state": to}),
            )
            if to in FINAL:
                end_attempt(attempt)
        return self.read(trial.id, trial.fence)

    @with_deadline
    def note(self, trial: Trial, *, memory: Mapping[str, Any], seen: Mapping[str, Any]) -> None:
        Attempt.objects.filter(pk=trial.id, state=trial.state, lease__fence=trial.fence).update(
            memory=dict(memory), seen=redact_shapes(dict(seen))
        )

    @with_deadline
    def rest(self, attempt_id: uuid.UUID, fence: int, *, again_s: float) -> None:
        with transaction.atomic():
            rows = StepLease.objects.filter(attempt_id=attempt_id, fence=fence).update(
                held=False, given_up=False
            )
            if rows == 1:
                due_at = timezone.now() + dt.timedelta(seconds=again_s)
                found = Attempt.objects.filter(pk=attempt_id)
                # Whoever asked for something meanwhile is not made to wait for the next look.
                found.filter(back_asked_at__isnull=True).update(due_at=due_at)

    @with_deadline
    def give_up(self, attempt_id: uuid.UUID, fence: int) -> None:
        StepLease.objects.filter(attempt_id=attempt_id, fence=fence).update(given_up=True)


def _prove_fence(attempt_id: uuid.UUID, fence: int) -> bool:
    """Raise the counter that watchers look at; the row lock holds the fence until the commit."""
    rows = StepLease.objects.filter(attempt_id=attempt_id, fence=fence).update(
        renewals=F("renewals") + 1, given_up=False
    )
    return rows == 1


def _as_trial(row: Attempt, fence: int) -> Trial:
    return Trial(
        id=row.id,
        direction=Direction(row.direction),
        state=AttemptState(row.state),
        kind=row.kind,
        parameters=row.parameters,
        check_kind=row.check_kind,
        check_parameters=row.check_parameters,
        back_check_kind=row.back_check_kind,
        back_check_parameters=row.back_check_parameters,
        before=row.before,
        memory=row.memory,
        exposes=row.exposes,
        reason=row.reason,
        asked_at=row.asked_at,
        changed_at=row.changed_at,
        returning_at=row.returning_at,
        back_asked=str(row.back_asked_by) if row.back_asked_at and row.back_asked_by else "",
        fence=fence,
    )
