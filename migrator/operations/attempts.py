"""Making the row of an attempt: what it does is copied from the step, and the database decides
whether it may begin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from core.choices import SlotKind, Stage
from core.errors import Conflict
from core.models import Cluster
from core.operations.slots import take_slot
from migrator.choices import AttemptState, Direction
from migrator.models import Attempt, StepLease
from migrator.operations.messages import send_conduct_step
from migrator.operations.plan_history import write_history
from migrator.runners.registry import RESTORE, runner_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.models import User
    from migrator.models import Retreat, Step


def begin(step: Step, *, direction: Direction, actor: User, text: str, **fields: Any) -> Attempt:
    """Plan an attempt, inside the caller's transaction.

    Raises `Conflict`: `step_running` where the plan has a live attempt already (somebody was
    quicker), `route_busy` where another plan's step moves the same route, `cluster_busy` where a
    fault or another step holds the QA cluster.
    """
    values: dict[str, Any] = {
        "kind": step.kind,
        "parameters": step.parameters,
        "check_kind": step.check_kind,
        "check_parameters": step.check_parameters,
        **fields,
    }
    plan = step.plan
    if plan.attempts.live().exists():
        # The constraint decides. But asking it for a row that is being ended in this moment would
        # wait for that end, which may itself wait for what is locked here.
        raise _running()
    if direction != Direction.BACK:
        _require_free_route(plan.cluster_id, values["kind"], values["parameters"])
    attempt = Attempt(
        step=step,
        plan=plan,
        cluster=plan.cluster,
        direction=direction,
        step_version=step.version,
        asked_by=actor,
        due_at=timezone.now(),
        **values,
    )
    try:
        with transaction.atomic():
            attempt.save(force_insert=True)
    except IntegrityError as error:
        raise _why_not(error, step) from None
    if plan.cluster.stage == Stage.QA and runner_of(attempt.kind).touches_cluster:
        # Faults exist on QA only: there a step and a fault exclude each other.
        take_slot(cluster=plan.cluster, kind=SlotKind.STEP, holder=attempt.pk)
    StepLease.objects.create(attempt=attempt)
    write_history(
        plan,
        actor=actor,
        step=step,
        attempt=attempt,
        text=text,
        data={"state": AttemptState.PLANNED},
    )
    transaction.on_commit(lambda: send_conduct_step(attempt.pk))
    return attempt


def begin_back(step: Step, *, actor: User, retreat: Retreat | None) -> Attempt | str:
    """Plan the way back of a step that is done; a sentence where it has none that could be taken.

    Inside the caller's transaction.
    """
    done = (
        step.attempts.filter(direction=Direction.FORWARD, state=AttemptState.DONE)
        .order_by("-ended_at")
        .first()
    )
    rollback = getattr(step, "rollback", None)
    if rollback is None:
        return f"“{step}” is one way: {step.why_one_way} It cannot be rolled back."
    fields: dict[str, Any] = {
        "of": done,
        "retreat": retreat,
        "back_check_kind": rollback.check_kind,
        "back_check_parameters": rollback.check_parameters,
        "check_kind": "none",
        "check_parameters": {},
    }
    if rollback.kind == RESTORE:
        if done is None:
            return f"“{step}” wrote nothing down that could be put back. Go back by hand."
        fields |= {"kind": done.kind, "parameters": done.parameters, "before": done.before}
    else:
        fields |= {
            "kind": rollback.kind,
            "parameters": rollback.parameters,
            "check_kind": rollback.check_kind,
            "check_parameters": rollback.check_parameters,
        }
    try:
        with transaction.atomic():
            return begin(
                step,
                direction=Direction.BACK,
                actor=actor,
                text=f"{actor} asked to roll back “{step}”.",
                **fields,
            )
    except Conflict as error:
        return error.message


def _require_free_route(cluster_id: int, kind: str, parameters: Mapping[str, Any]) -> None:
    """Two services may share a route; what one step's share does cannot be told while another
    moves it. The cluster's row is locked, so that of two at once the second sees the first."""
    if kind != "traffic":
        return
    Cluster.objects.select_for_update(no_key=True).get(pk=cluster_id)
    place = {name: parameters.get(name) for name in ("namespace", "route")}
    other = (
        Attempt.objects.live()
        .filter(cluster_id=cluster_id, kind="traffic", parameters__contains=place)
        .select_related("plan")
        .first()
    )
    if other is not None:
        raise Conflict(
            f"A step of “{other.plan}” moves HTTPProxy {place['namespace']}/{place['route']} now. "
            "One at a time, or its effect cannot be told.",
            code="route_busy",
        )


def _running() -> Conflict:
    return Conflict(
        "A step of this plan is under way already: somebody was quicker. One at a time, or "
        "its effect cannot be told.",
        code="step_running",
    )


def _why_not(error: IntegrityError, step: Step) -> Conflict:
    constraint = str(getattr(getattr(error.__cause__, "diag", None), "constraint_name", "") or "")
    told = str(error)
    if "attempt_one_live_per_plan" in (constraint or told) or "one_live" in told:
        return _running()
    if "way back" in told:
        return Conflict(
            f"“{step}” has no way back, and without one no step starts. Write it down first.",
            code="no_rollback_plan",
        )
    if "signed" in told:
        return Conflict(
            f"“{step}” is one way: a second person has to sign it off, with a reason.",
            code="not_signed_off",
        )
    raise error
