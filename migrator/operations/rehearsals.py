"""Rehearsing a way back: do, check, undo, compare; and what counts as a rehearsal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from core import policies as core_policies
from core.errors import Conflict, Invalid
from migrator import plan_policies as policies
from migrator.choices import Direction, RehearsalMark, Reversibility, Tier
from migrator.gates import REHEARSAL_CODES, require_open
from migrator.models import Attempt, RehearsalPolicy, Step, StepRehearsal
from migrator.operations.attempts import begin
from migrator.operations.plan_history import write_history
from migrator.operations.steps import checked_reason, lock_step, require_next
from migrator.runners.registry import RESTORE, runner_of

if TYPE_CHECKING:
    from core.models import User


def rehearse_step(*, actor: User, step: Step) -> Attempt:
    """Do the next step, check it, undo it, and compare how it is with how it was.

    Raises:
        NotFound, NotAllowed.
        Conflict: `cannot_rehearse`, `step_not_next`, `step_running`, `cluster_busy`,
            `emergency_stop`, or the code of a closed gate; the rehearsal's own gates are not asked.
    """
    policies.require_run(actor, step.plan)
    with transaction.atomic():
        step = lock_step(step)
        rollback = getattr(step, "rollback", None)
        if (
            step.reversibility == Reversibility.ONE_WAY
            or rollback is None
            or rollback.kind != RESTORE
            or not runner_of(step.kind).can_rehearse
        ):
            raise Conflict(
                f"“{step}” cannot be done and undone by Belay. Walk through its way back with "
                "whoever owns it, and write down how it went.",
                code="cannot_rehearse",
            )
        require_next(step)
        require_open(step, actor=actor, without=REHEARSAL_CODES)
        return begin(
            step,
            direction=Direction.REHEARSAL,
            actor=actor,
            text=f"{actor} began to rehearse “{step}”.",
            back_check_kind=rollback.check_kind,
            back_check_parameters=rollback.check_parameters,
        )


def record_walk_through(
    *, actor: User, step: Step, minutes: int, notes: str, succeeded: bool
) -> StepRehearsal:
    """Write down that people went through the way back. It is a mark of its own, and no proof.

    Raises:
        NotFound, NotAllowed; Invalid: `minutes` (1 to 1440) or no notes.
    """
    policies.require_run(actor, step.plan)
    if not 1 <= minutes <= 1440:
        raise Invalid("Minutes: choose 1 to 1440.", field="minutes")
    notes = checked_reason(notes, "Say who went through it, and what you found.", 2000)
    with transaction.atomic():
        step = lock_step(step)
        if getattr(step, "rollback", None) is None:
            raise Conflict(
                f"“{step}” has no way back that could be walked through.", code="no_rollback_plan"
            )
        made = StepRehearsal.objects.create(
            step=step,
            step_version=step.version,
            mark=RehearsalMark.WALKED_THROUGH,
            by=actor,
            at=timezone.now(),
            duration_s=minutes * 60,
            succeeded=succeeded,
            notes=notes,
        )
        how = "it works on paper" if succeeded else "it does not work"
        write_history(
            step.plan,
            actor=actor,
            step=step,
            text=f"{actor} walked through the way back of “{step}”: {how}. {notes}",
        )
    return made


def set_rehearsal_policy(
    *,
    actor: User,
    tier: int | None,
    days: int,
    real_route: bool,
    stand_in: bool,
    walked_through: bool,
    capacity_days: int,
) -> RehearsalPolicy:
    """Say what counts as a rehearsal for services of a tier, and for how many days a person's word
    for what their legacy half can carry. `tier` None is for every other tier.

    Raises:
        NotAllowed: platform owners only.
        Invalid: `tier`, `days` or `capacity_days` (1 to 365), or nothing would count.
    """
    core_policies.require_owner(actor, "say what counts as a rehearsal")
    errors = {}
    if not 1 <= days <= 365:
        errors["days"] = "Days: choose 1 to 365."
    if not 1 <= capacity_days <= 365:
        errors["capacity_days"] = "Days: choose 1 to 365."
    if not (real_route or stand_in or walked_through):
        errors["real_route"] = "At least one kind has to count, or no step could ever start."
    if tier is not None and tier not in Tier.values:
        errors["tier"] = f"Tier: {tier} is none of ours; choose one of the list."
    if errors:
        first = next(iter(errors))
        raise Invalid(errors[first], field=first, errors=errors)
    policy, _made = RehearsalPolicy.objects.update_or_create(
        tier=tier,
        defaults={
            "days": days,
            "real_route": real_route,
            "stand_in": stand_in,
            "walked_through": walked_through,
            "capacity_days": capacity_days,
            "set_by": actor,
        },
    )
    return policy
