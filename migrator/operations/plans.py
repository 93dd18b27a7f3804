"""Making, cloning and archiving plans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.utils import timezone

from core.choices import Stage
from core.errors import Conflict, Invalid
from migrator import plan_policies as policies
from migrator.models import Plan, RollbackPlan, Step
from migrator.operations.drafts import clean_draft, filled_in, from_data, names_of
from migrator.operations.plan_history import write_history

if TYPE_CHECKING:
    from core.models import Cluster, User
    from migrator.models import Service, TemplateVersion


def create_plan(
    *, actor: User, service: Service, cluster: Cluster, template: TemplateVersion | None
) -> Plan:
    """A plan for a service on a cluster, with the steps of a template, or without any.

    Its maker answers for the ways back until somebody else is named.

    Raises:
        NotFound, NotAllowed: a lead of the service's team who sees the cluster.
        Conflict: `plan_exists`: one plan per service and stage is current.
        Invalid: `step_invalid`: the template does not fit this service.
    """
    policies.require_plan_for(actor, service, cluster)
    names = names_of(service)
    with transaction.atomic():
        plan = _new_plan(actor, service, cluster, made_from=template)
        for position, data in enumerate(template.steps if template else [], start=1):
            draft = from_data(filled_in(data, names), owner=actor)
            try:
                cleaned = clean_draft(draft)
            except Invalid as error:
                raise Invalid(
                    f"Step {position} of the template, “{draft.title}”, does not fit {service}: "
                    f"{error.message} Correct the service, or the template.",
                    code="step_invalid",
                ) from None
            step = Step.objects.create(plan=plan, position=position, **cleaned.step)
            if cleaned.rollback is not None:
                RollbackPlan.objects.create(step=step, **cleaned.rollback)
        made_from = f" from “{template}”" if template else ""
        write_history(plan, actor=actor, text=f"{actor} made the plan{made_from}.")
    return plan


def clone_plan(*, actor: User, plan: Plan, service: Service, cluster: Cluster) -> Plan:
    """The same steps for another service, or for another cluster. Nothing that was proved comes
    along: rehearsals and signatures are of one step on one cluster.

    Raises: as `create_plan`, and NotFound for a plan that the person may not see.
    """
    policies.require_see(actor, plan)
    policies.require_plan_for(actor, service, cluster)
    theirs, ours = names_of(plan.service), names_of(service)
    with transaction.atomic():
        made = _new_plan(actor, service, cluster, made_from=plan.made_from, cloned_from=plan)
        for step in plan.steps.select_related("rollback").order_by("position"):
            rollback = getattr(step, "rollback", None)
            copy = Step.objects.create(
                plan=made,
                position=step.position,
                **{
                    name: getattr(step, name)
                    for name in (
                        "key",
                        "title",
                        "kind",
                        "check_kind",
                        "check_parameters",
                        "expected_s",
                        "reversibility",
                        "reversible_days",
                        "why_one_way",
                    )
                },
                parameters=_renamed(step.parameters, theirs, ours),
            )
            if rollback is not None:
                RollbackPlan.objects.create(
                    step=copy,
                    kind=rollback.kind,
                    parameters=_renamed(rollback.parameters, theirs, ours),
                    check_kind=rollback.check_kind,
                    check_parameters=rollback.check_parameters,
                    expected_s=rollback.expected_s,
                    owner=actor,
                )
        write_history(made, actor=actor, text=f"{actor} cloned it from “{plan}”.")
    return made


def archive_plan(*, actor: User, plan: Plan) -> Plan:
    """Take a plan out of use; its history stays. Nothing of it may be under way.

    Raises:
        NotFound, NotAllowed; Conflict: `step_running`.
    """
    policies.require_see(actor, plan)
    gone = plan.cluster.retired_at is not None
    require = policies.require_leads if gone else policies.require_lead
    require(actor, plan, "archive a plan")
    with transaction.atomic():
        found = Plan.objects.select_for_update(of=("self",)).select_related("service__team")
        plan = found.get(pk=plan.pk)
        if plan.attempts.live().exists():
            raise Conflict("A step of it is under way. Let it end first.", code="step_running")
        plan.archived_at = timezone.now()
        plan.save(update_fields=["archived_at"])
        write_history(plan, actor=actor, text=f"{actor} archived the plan.")
    return plan


def _new_plan(actor: User, service: Service, cluster: Cluster, **fields: object) -> Plan:
    stage = Stage(cluster.stage)
    try:
        with transaction.atomic():
            return Plan.objects.create(
                service=service,
                cluster=cluster,
                stage=stage,
                title=f"{service} to {cluster}"[:120],
                made_by=actor,
                **fields,
            )
    except IntegrityError:
        raise Conflict(
            f"{service} has a plan for {stage.label} already. Change that one, or archive it.",
            code="plan_exists",
        ) from None


def _renamed(
    parameters: dict[str, object], theirs: dict[str, str], ours: dict[str, str]
) -> dict[str, object]:
    """Values that are exactly a name of the other service become ours; nothing is guessed."""
    return {
        key: ours[key] if key in theirs and value == theirs[key] else value
        for key, value in parameters.items()
    }
