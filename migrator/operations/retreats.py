"""Rolling back: one step, back to here, or back to the original state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from core.errors import Conflict, Invalid
from core.redaction import redact_text
from migrator import plan_policies as policies
from migrator.choices import StepState
from migrator.models import Plan, Retreat, Step
from migrator.operations.attempts import begin_back
from migrator.operations.plan_history import write_history

if TYPE_CHECKING:
    from core.models import User


def roll_back(*, actor: User, plan: Plan, down_to: int, reason: str = "") -> Retreat:
    """Roll back every done step at position `down_to` and later, in reverse order, each with its
    check; it stops visibly at the first that fails. 0 is the original state. No gate is asked.

    Raises:
        NotFound, NotAllowed: leads and engineers of the service's team.
        Invalid: `down_to` says nothing; the original state is never assumed.
        Conflict: `nothing_to_roll_back`, `step_running`, `cluster_busy`, `no_way_back`.
    """
    policies.require_run(actor, plan)
    if down_to < 0:
        raise Invalid("Say back to where: 0 is the original state.", field="down_to")
    with transaction.atomic():
        found = Plan.objects.select_for_update(of=("self",)).select_related(
            "service__team", "cluster"
        )
        plan = found.get(pk=plan.pk)
        done = Step.objects.filter(plan=plan, state=StepState.DONE, position__gte=down_to)
        last = done.select_related("rollback", "plan").order_by("-position").first()
        if last is None:
            raise Conflict(
                "No step from here on is done: there is nothing to roll back.",
                code="nothing_to_roll_back",
            )
        if plan.attempts.live().exists():
            raise Conflict(
                "A step is under way. Turn it round, or let it end; then roll back.",
                code="step_running",
            )
        try:
            with transaction.atomic():
                retreat = Retreat.objects.create(
                    plan=plan,
                    down_to=down_to,
                    asked_by=actor,
                    reason=redact_text(reason.strip())[:300],
                )
        except IntegrityError:
            raise Conflict("This plan is on its way back already.", code="step_running") from None
        last.plan = plan
        where = "the original state" if down_to <= 1 else f"before step {down_to}"
        write_history(plan, actor=actor, text=f"{actor} asked to go back to {where}.")
        begun = begin_back(last, actor=actor, retreat=retreat)
        if isinstance(begun, str):
            raise Conflict(begun, code="no_way_back")
    return retreat
