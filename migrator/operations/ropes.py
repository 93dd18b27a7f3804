"""Checking ropes: hourly by the clock, or by hand."""

from __future__ import annotations

import structlog
from django.db import transaction
from django.utils import timezone

from core import kube
from core.errors import DomainError
from core.models import User
from migrator import plan_policies as policies
from migrator.execution import rope
from migrator.execution.shell import HttpAsks, hands_for
from migrator.models import Plan, RopeCheck, Step
from migrator.operations.messages import send_check_rope
from migrator.operations.plan_history import write_history

log = structlog.get_logger(__name__)
KEPT = 200
"""Looks that are kept of each plan: a week of hours, and those by hand."""


def check_rope(*, actor: User, plan: Plan) -> RopeCheck | None:
    """Look now. Everybody who may see the plan may. None where this process may not look, because
    another holds the key of production: a worker that does was asked.

    Raises:
        NotFound: an outsider.
    """
    policies.require_see(actor, plan)
    try:
        kube.credentials_of(plan.cluster)
    except DomainError as error:
        if error.code != "credential_key_missing":
            raise
        send_check_rope(plan.pk, actor.pk)
        return None
    return _check(plan, actor)


def check_rope_of(plan_id: int, user_id: int) -> None:
    """What a page asked a worker for."""
    plan = Plan.objects.select_related("service", "cluster").filter(pk=plan_id).first()
    if plan is not None:
        _check(plan, User.objects.filter(pk=user_id).first())


def check_all_ropes() -> None:
    """One look at every current plan. A plan that cannot be looked at stops no other."""
    plans = Plan.objects.current().filter(cluster__retired_at__isnull=True)
    for plan in plans.select_related("service", "cluster").iterator(chunk_size=200):
        try:
            _check(plan, None)
        except DomainError as error:
            log.warning("rope_not_checked", plan=plan.pk, code=error.code)
        except Exception:
            # Its newest check grows old, and holds its steps back by that.
            log.exception("rope_not_checked", plan=plan.pk)


def _check(plan: Plan, actor: User | None) -> RopeCheck:
    routes = [
        step.parameters for step in Step.objects.filter(plan=plan, kind="traffic").order_by("pk")
    ]
    lines: list[rope.Line]
    try:
        hands = hands_for(plan.cluster, HttpAsks())
    except DomainError as error:
        lines = [rope.Line(name="cluster", passed=None, sentence=error.message)]
    else:
        lines = rope.look(legacy_address=plan.service.legacy_address, routes=routes, hands=hands)
    reach = rope.verdict(lines)
    with transaction.atomic():
        former = RopeCheck.objects.filter(plan=plan).first()
        made = RopeCheck.objects.create(
            plan=plan,
            at=timezone.now(),
            within_reach=reach,
            lines=[line.as_data() for line in lines],
            asked_by=actor,
        )
        if former is None or former.within_reach != reach:
            words = {True: "within reach", False: "not within reach", None: "unknown"}[reach]
            wrong = " ".join(line.sentence for line in lines if line.passed is not True)
            write_history(
                plan,
                actor=actor,
                text=f"The rope was checked: the original state is {words}. {wrong}".strip(),
            )
        old = RopeCheck.objects.filter(plan=plan).values_list("pk", flat=True)[KEPT:]
        RopeCheck.objects.filter(pk__in=list(old)).delete()
    return made
