"""What the end of an attempt brings along, in the transaction that ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils import timezone

from core.operations.slots import release_slot
from migrator.choices import AttemptState, Direction, RehearsalMark, StepState
from migrator.models import Retreat, Step, StepLease, StepRehearsal
from migrator.operations.attempts import begin_back
from migrator.operations.plan_history import write_history

if TYPE_CHECKING:
    from migrator.models import Attempt

_BACK_ENDS = (AttemptState.DONE, AttemptState.RETURNED, AttemptState.RESOLVED_BY_HAND)
"""How a way back ends when the step is behind it."""


def end_attempt(attempt: Attempt) -> None:
    """Release what it held, say what the step came to, and go on with its retreat."""
    release_slot(holder=attempt.pk)
    StepLease.objects.filter(attempt=attempt).update(held=False)
    if attempt.direction == Direction.REHEARSAL:
        _record_rehearsal(attempt)
    elif attempt.direction == Direction.FORWARD and attempt.state == AttemptState.DONE:
        _set_step(attempt.step_id, StepState.DONE)
    elif attempt.direction == Direction.BACK:
        if attempt.state in _BACK_ENDS:
            _set_step(attempt.step_id, StepState.ROLLED_BACK)
        _go_on(attempt)


def _set_step(step_id: int, state: StepState) -> None:
    Step.objects.filter(pk=step_id).update(state=state, state_since=timezone.now())


def _record_rehearsal(attempt: Attempt) -> None:
    if attempt.state == AttemptState.REFUSED or attempt.changed_at is None:
        return  # nothing was done, and so nothing was rehearsed
    entry = attempt.history.filter(data__state=attempt.state).order_by("-at", "-pk").first()
    differences = list(entry.data.get("differences", [])) if entry else []
    returned = attempt.state == AttemptState.RETURNED
    # What was turned round for another reason than “done and checked” has not shown the whole way.
    # Whoever asked for that may be called anything, so their name proves nothing.
    whole = attempt.reason.startswith("Done and checked") and attempt.back_asked_at is None
    began = attempt.returning_at or attempt.changed_at
    StepRehearsal.objects.create(
        step=attempt.step,
        step_version=attempt.step_version,
        attempt=attempt,
        mark=RehearsalMark.REAL_ROUTE,
        by=attempt.asked_by,
        at=timezone.now(),
        duration_s=max(0, round((timezone.now() - began).total_seconds())),
        succeeded=returned and whole and not differences,
        differences=differences,
        notes="" if whole else attempt.reason,
    )


def _go_on(attempt: Attempt) -> None:
    """The next way back of a retreat, in reverse order, until one fails or all are back."""
    if attempt.retreat_id is None:
        return
    retreat = Retreat.objects.select_for_update().get(pk=attempt.retreat_id)
    if retreat.ended_at is not None:
        return
    if attempt.state not in _BACK_ENDS:
        _end_retreat(retreat, attempt, f"“{attempt.step}” did not come back: {attempt.reason}")
        return
    following = (
        Step.objects.filter(
            plan=retreat.plan_id, state=StepState.DONE, position__gte=retreat.down_to
        )
        .order_by("-position")
        .first()
    )
    if following is None:
        _end_retreat(retreat, attempt, "")
        return
    begun = begin_back(following, actor=retreat.asked_by, retreat=retreat)
    if isinstance(begun, str):
        _end_retreat(retreat, attempt, begun)


def _end_retreat(retreat: Retreat, attempt: Attempt, why: str) -> None:
    retreat.ended_at, retreat.stopped_because = timezone.now(), why
    retreat.save(update_fields=["ended_at", "stopped_because"])
    text = "All that was asked for is rolled back." if not why else f"The way back stopped. {why}"
    write_history(attempt.plan, actor=None, text=text, attempt=attempt)
