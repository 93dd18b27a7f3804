"""Changing the steps of a plan: what was not begun yet, never what is under way or done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F, Max

from core.errors import Conflict
from migrator import plan_policies as policies
from migrator.choices import STEP_BEHIND
from migrator.models import Plan, RollbackPlan, Step
from migrator.operations.drafts import StepDraft, clean_draft
from migrator.operations.plan_history import write_history
from migrator.operations.steps import lock_step

if TYPE_CHECKING:
    from core.models import User

STEPS_MAX = 60
_MATTERS = ("kind", "parameters", "check_kind", "check_parameters", "reversibility")
"""What a rehearsal and a signature were about: a change of any of them voids both."""


def add_step(*, actor: User, plan: Plan, draft: StepDraft) -> Step:
    """Append a step.

    Raises:
        NotFound, NotAllowed: leads and engineers of the service's team.
        Invalid: `step_invalid`, every wrong value at once.
        Conflict: `too_many_steps`.
    """
    policies.require_run(actor, plan)
    cleaned = clean_draft(draft)
    with transaction.atomic():
        plan = _lock(plan)
        if plan.steps.count() >= STEPS_MAX:
            raise Conflict(f"A plan has at most {STEPS_MAX} steps.", code="too_many_steps")
        last = plan.steps.aggregate(last=Max("position"))["last"] or 0
        values = {**cleaned.step, "key": _free_key(plan, cleaned.step["key"])}
        step = Step.objects.create(plan=plan, position=last + 1, **values)
        if cleaned.rollback is not None:
            RollbackPlan.objects.create(step=step, **cleaned.rollback)
        _touch(plan)
        write_history(plan, actor=actor, step=step, text=f"{actor} added the step “{step}”.")
    return step


def edit_step(*, actor: User, step: Step, version: int, draft: StepDraft) -> Step:
    """Change a step that was not begun. `version` is the plan's row version that the person saw.

    Raises:
        NotFound, NotAllowed; Invalid `step_invalid`.
        Conflict: `step_begun`, `edited_meanwhile`.
    """
    policies.require_run(actor, step.plan)
    cleaned = clean_draft(draft)
    with transaction.atomic():
        step = lock_step(step)
        _require_seen(step.plan, version)
        _require_not_begun(step)
        values: dict[str, Any] = {**cleaned.step, "key": step.key}
        old = getattr(step, "rollback", None)
        new = cleaned.rollback
        matters = any(getattr(step, name) != values[name] for name in _MATTERS) or (
            (old is None) != (new is None)
            or (
                old is not None
                and new is not None
                and any(getattr(old, name) != new[name] for name in _MATTERS[:4])
            )
        )
        for name, value in values.items():
            setattr(step, name, value)
        step.version += 1 if matters else 0
        step.save(update_fields=[*values, "version"])
        if new is None:
            RollbackPlan.objects.filter(step=step).delete()
        else:
            RollbackPlan.objects.update_or_create(step=step, defaults=new)
        _touch(step.plan)
        void = " What was rehearsed or signed before does not count any more." if matters else ""
        write_history(
            step.plan, actor=actor, step=step, text=f"{actor} changed the step “{step}”.{void}"
        )
    return Step.objects.select_related("plan__service", "rollback").get(pk=step.pk)


def remove_step(*, actor: User, step: Step, version: int) -> None:
    """Take a step out of a plan in which it was never begun.

    Raises:
        NotFound, NotAllowed; Conflict: `step_begun`, `edited_meanwhile`.
    """
    policies.require_run(actor, step.plan)
    with transaction.atomic():
        step = lock_step(step)
        _require_seen(step.plan, version)
        _require_not_begun(step)
        if step.attempts.exists():
            raise Conflict(
                f"“{step}” was tried before; its history stays. Skip it instead.", code="step_begun"
            )
        title, position, plan = step.title, step.position, step.plan
        step.delete()
        plan.steps.filter(position__gt=position).update(position=F("position") - 1)
        _touch(plan)
        write_history(plan, actor=actor, text=f"{actor} removed the step “{title}”.")


def move_step(*, actor: User, step: Step, version: int, by: int) -> Step:
    """Move a step one place earlier (-1) or later (1), among those that are not begun.

    Raises:
        NotFound, NotAllowed; Conflict: `step_begun`, `edited_meanwhile`, `no_place`.
    """
    policies.require_run(actor, step.plan)
    with transaction.atomic():
        step = lock_step(step)
        _require_seen(step.plan, version)
        _require_not_begun(step)
        other = step.plan.steps.filter(position=step.position + (1 if by > 0 else -1)).first()
        if other is None:
            raise Conflict("There is no place further that way.", code="no_place")
        other.plan = step.plan
        _require_not_begun(other)
        step.position, other.position = other.position, step.position
        for each in (step, other):
            each.save(update_fields=["position"])
        _touch(step.plan)
        way = "after" if by > 0 else "before"
        write_history(
            step.plan, actor=actor, step=step, text=f"{actor} moved “{step}” {way} “{other}”."
        )
    return step


def _lock(plan: Plan) -> Plan:
    found = Plan.objects.select_for_update(of=("self",)).select_related("service__team", "cluster")
    return found.get(pk=plan.pk)


def _touch(plan: Plan) -> None:
    Plan.objects.filter(pk=plan.pk).update(version=F("version") + 1)


def _require_seen(plan: Plan, version: int) -> None:
    if plan.version != version:
        raise Conflict(
            "Somebody else changed this plan meanwhile. Look at it as it is now, and change it "
            "again.",
            code="edited_meanwhile",
        )


def _require_not_begun(step: Step) -> None:
    if step.state in STEP_BEHIND:
        raise Conflict(
            f"“{step}” is {step.get_state_display().lower()}; roll it back before you change it.",
            code="step_begun",
        )
    if step.attempts.live().exists():
        raise Conflict(f"“{step}” is under way; it stays as it is.", code="step_begun")


def _free_key(plan: Plan, key: str) -> str:
    base = key[:55] or "step"
    taken = set(plan.steps.values_list("key", flat=True))
    if base not in taken:
        return base
    return next(f"{base}-{n}" for n in range(2, len(taken) + 3) if f"{base}-{n}" not in taken)
