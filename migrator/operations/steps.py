"""What people do to a step: start it, turn it round, go on, skip it, sign it, tick its list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.utils import timezone

from core.errors import Conflict, Invalid
from core.operations.emergency import require_no_stop
from core.redaction import redact_text
from migrator import plan_policies as policies
from migrator.choices import (
    FINAL,
    GOING_BACK,
    MAY_GO_BACK,
    STEP_BEHIND,
    AttemptState,
    Direction,
    Reversibility,
    StepState,
)
from migrator.gates import left_out_of, require_open
from migrator.models import Attempt, Plan, SignOff, Step, StepLease, Tick
from migrator.operations.attempts import begin
from migrator.operations.ending import end_attempt
from migrator.operations.messages import send_conduct_step
from migrator.operations.plan_history import write_history
from migrator.runners.checks import CONFIRMATION
from migrator.runners.registry import runner_of

if TYPE_CHECKING:
    import uuid

    from core.models import User

_TEXT_MAX = 300
_REASON_MAX = 2000


def start_step(*, actor: User, step: Step) -> Attempt:
    """Start a step: the first of its plan that is neither done nor skipped.

    Raises:
        NotFound, NotAllowed: only leads and engineers of the service's team start.
        Conflict: `step_not_next`, `step_running` (somebody was quicker), `cluster_busy`,
            `no_rollback_plan`, `not_signed_off`, `emergency_stop`, or the code of a closed gate.
    """
    policies.require_run(actor, step.plan)
    with transaction.atomic():
        step = lock_step(step)
        require_next(step)
        require_open(step, actor=actor)
        rollback = getattr(step, "rollback", None)
        return begin(
            step,
            direction=Direction.FORWARD,
            actor=actor,
            text=f"{actor} started “{step}”.",
            back_check_kind=rollback.check_kind if rollback else "none",
            back_check_parameters=rollback.check_parameters if rollback else {},
        )


def turn_round(*, actor: User, attempt: Attempt) -> Attempt:
    """Ask for the way back of what is under way. Whoever sees the plan may, and nothing is asked.

    Raises:
        NotFound: an outsider.
        Conflict: `nothing_to_turn_round`: it is over, or on its way back already.
    """
    policies.require_see(actor, attempt.plan)
    with transaction.atomic():
        found = Attempt.objects.select_for_update(of=("self",)).select_related("plan", "step")
        attempt = found.get(pk=attempt.pk)
        if attempt.back_asked_at is not None and attempt.state not in FINAL:
            return attempt
        if attempt.direction == Direction.BACK or attempt.state not in MAY_GO_BACK:
            raise Conflict(
                f"There is nothing to turn round: it is {attempt.get_state_display().lower()}.",
                code="nothing_to_turn_round",
            )
        attempt.back_asked_at, attempt.back_asked_by = timezone.now(), actor
        attempt.due_at = timezone.now()
        attempt.save(update_fields=["back_asked_at", "back_asked_by", "due_at"])
        write_history(
            attempt.plan,
            actor=actor,
            step=attempt.step,
            attempt=attempt,
            text=f"{actor} asked to go back.",
            data={"back": "requested"},
        )
        _wake(attempt.pk)
    return attempt


def continue_step(*, actor: User, attempt: Attempt) -> Attempt:
    """Go on with an attempt that waits for a person. What stands is looked at first: what was
    changed is not changed again.

    Raises:
        NotFound, NotAllowed; Conflict: `not_waiting`; not of a way back, and only where something
            is still to be changed: `emergency_stop`, or the code of a gate that closed meanwhile.
    """
    policies.require_run(actor, attempt.plan)
    with transaction.atomic():
        if attempt.direction != Direction.BACK:
            require_no_stop()
        # The lease first, in everybody's order.
        StepLease.objects.select_for_update().get(attempt=attempt)
        now = timezone.now()
        attempt.refresh_from_db(fields=["changed_at"])
        seen_changed = attempt.changed_at is not None
        to = AttemptState.JUDGING if seen_changed else AttemptState.CHANGING
        if attempt.direction != Direction.BACK and not seen_changed:
            without = left_out_of(attempt.direction)
            require_open(attempt.step, actor=attempt.asked_by, without=without)
        rows = Attempt.objects.filter(
            pk=attempt.pk, state=AttemptState.INTERRUPTED, back_asked_at__isnull=True
        ).update(
            state=to,
            due_at=now,
            reason="",
            # What it was is kept: it is never read again over what may be ours by now.
            memory={} if seen_changed else {"continued": True},
            # It is watched anew, from now on.
            changed_at=now if seen_changed else None,
        )
        if rows != 1:
            raise Conflict(
                "This step does not wait for anybody any more. Look at it as it is now.",
                code="not_waiting",
            )
        write_history(
            attempt.plan,
            actor=actor,
            step=attempt.step,
            attempt=attempt,
            text=f"{actor} let it go on.",
            data={"state": to},
        )
        _wake(attempt.pk)
    attempt.refresh_from_db()
    return attempt


def resolve_by_hand(*, actor: User, attempt: Attempt, reason: str) -> Attempt:
    """Answer for a way back that is stuck or waits: who, and what was seen. Leads only.

    Raises:
        NotFound, NotAllowed; Invalid: no reason; Conflict: `not_stuck`.
    """
    policies.require_lead(actor, attempt.plan, "answer for a way back that is stuck")
    reason = checked_reason(reason, "Say what you saw, and how it was put right.", _REASON_MAX)
    with transaction.atomic():
        lease = StepLease.objects.select_for_update().get(attempt=attempt)
        found = Attempt.objects.select_for_update(of=("self",)).select_related("plan", "step")
        attempt = found.get(pk=attempt.pk)
        back_waits = (
            attempt.direction == Direction.BACK and attempt.state == AttemptState.INTERRUPTED
        )
        if attempt.state != AttemptState.STUCK and not back_waits:
            raise Conflict(
                f"It is not stuck: it is {attempt.get_state_display().lower()}.", code="not_stuck"
            )
        # A new fence: whoever conducts it now can change nothing any more.
        lease.fence, lease.held = lease.fence + 1, False
        lease.save(update_fields=["fence", "held"])
        attempt.state, attempt.ended_at = AttemptState.RESOLVED_BY_HAND, timezone.now()
        attempt.reason = reason
        attempt.save(update_fields=["state", "ended_at", "reason"])
        write_history(
            attempt.plan,
            actor=actor,
            step=attempt.step,
            attempt=attempt,
            text=f"{actor} answers for it by hand: {reason}",
            data={"state": attempt.state},
        )
        end_attempt(attempt)
    return attempt


def skip_step(*, actor: User, step: Step, reason: str) -> Step:
    """Leave a step out, with a reason. It can be taken back as long as no later one is done.

    Raises:
        NotFound, NotAllowed: leads only; Invalid: no reason;
        Conflict: `step_not_next`, `step_running`.
    """
    policies.require_lead(actor, step.plan, "skip a step")
    reason = checked_reason(reason, "Say why this step is not needed here.", _TEXT_MAX)
    with transaction.atomic():
        step = lock_step(step)
        require_next(step)
        if step.attempts.live().exists():
            raise Conflict(
                f"“{step}” is under way. Turn it round, or let it end; then skip it.",
                code="step_running",
            )
        step.state, step.state_since = StepState.SKIPPED, timezone.now()
        step.skip_reason = reason
        step.save(update_fields=["state", "state_since", "skip_reason"])
        write_history(step.plan, actor=actor, step=step, text=f"{actor} skipped “{step}”: {reason}")
    return step


def take_skip_back(*, actor: User, step: Step) -> Step:
    """Have a skipped step wait again.

    Raises:
        NotFound, NotAllowed; Conflict: `not_skipped`, `later_steps_done`.
    """
    policies.require_lead(actor, step.plan, "take a skipped step back in")
    with transaction.atomic():
        step = lock_step(step)
        if step.state != StepState.SKIPPED:
            raise Conflict(f"“{step}” is not skipped.", code="not_skipped")
        later = step.plan.steps.filter(position__gt=step.position, state=StepState.DONE)
        if later.exists() or step.plan.attempts.live().exists():
            raise Conflict(
                "Later steps are done, or one is under way. Roll them back first.",
                code="later_steps_done",
            )
        step.state, step.state_since, step.skip_reason = StepState.WAITING, timezone.now(), ""
        step.save(update_fields=["state", "state_since", "skip_reason"])
        write_history(step.plan, actor=actor, step=step, text=f"{actor} took “{step}” back in.")
    return step


def sign_off_step(*, actor: User, step: Step, reason: str) -> SignOff:
    """Sign a one-way step. It counts for the step as it is now, and not for its signer to start.

    Raises:
        NotFound, NotAllowed; Invalid: no reason; Conflict: `not_one_way`, `signed_already`.
    """
    policies.require_run(actor, step.plan)
    reason = checked_reason(
        reason, "Say why it is right that this step has no way back.", _REASON_MAX
    )
    with transaction.atomic():
        step = lock_step(step)
        if step.reversibility != Reversibility.ONE_WAY:
            raise Conflict(
                f"“{step}” has a way back, and needs nobody's signature.", code="not_one_way"
            )
        try:
            with transaction.atomic():
                signed = SignOff.objects.create(
                    step=step, step_version=step.version, signed_by=actor, reason=reason
                )
        except IntegrityError:
            raise Conflict(
                "You signed this step already. Another person starts it.", code="signed_already"
            ) from None
        write_history(
            step.plan, actor=actor, step=step, text=f"{actor} signed “{step}” off: {reason}"
        )
    return signed


def tick_item(*, actor: User, attempt: Attempt, part: str, item: int) -> Tick:
    """Tick one item of a checklist, or confirm a check (`CONFIRMATION`). It stays ticked.

    Raises:
        NotFound, NotAllowed; Invalid: no such item; Conflict: `ticks_closed`.
    """
    policies.require_run(actor, attempt.plan)
    with transaction.atomic():
        found = Attempt.objects.select_for_update(of=("self",)).select_related("plan", "step")
        attempt = found.get(pk=attempt.pk)
        if attempt.is_final:
            raise Conflict("This attempt is over; nothing is ticked any more.", code="ticks_closed")
        _require_item(attempt, part, item)
        _require_time(attempt, part)
        figures = attempt.seen.get("figures") or {}
        if (
            part == "do"
            and not runner_of(attempt.kind).ticks_at_once
            and not figures.get("may_tick")
        ):
            raise Conflict(
                f"Not yet: {attempt.seen.get('sentence', 'nobody has looked.')}",
                code="ticks_closed",
            )
        tick, made = Tick.objects.get_or_create(
            attempt=attempt, part=part, item=item, defaults={"ticked_by": actor}
        )
        if made:
            write_history(
                attempt.plan,
                actor=actor,
                step=attempt.step,
                attempt=attempt,
                text=f"{actor} ticked: {_item_text(attempt, part, item)}",
            )
            Attempt.objects.filter(pk=attempt.pk).update(due_at=timezone.now())
            _wake(attempt.pk)
    return tick


# -- shared with the other verbs ------------------------------------------------------------------


def lock_step(step: Step) -> Step:
    """The step's row and its plan's, locked in this order: plan, step."""
    plan = Plan.objects.select_for_update(of=("self",)).select_related("service__team", "cluster")
    held = plan.get(pk=step.plan_id)
    locked = Step.objects.select_for_update().get(pk=step.pk)
    locked.plan = held
    return locked


def require_next(step: Step) -> None:
    """Raise `Conflict` (`step_not_next`) unless it is the first that is not behind."""
    ahead = (
        step.plan.steps.exclude(state__in=STEP_BEHIND)
        .order_by("position")
        .values_list("pk", "title")
    )
    first = ahead.first()
    if first is None or first[0] != step.pk:
        instead = f" “{first[1]}” comes first." if first else " Every step is done."
        raise Conflict(
            f"“{step}” is not the next step of this plan.{instead}", code="step_not_next"
        )


def checked_reason(text: str, wanted: str, longest: int) -> str:
    text = redact_text(text.strip())
    if not text:
        raise Invalid(wanted, field="reason")
    if len(text) > longest:
        raise Invalid(f"At most {longest} characters; this has {len(text)}.", field="reason")
    return text


def _wake(attempt_id: uuid.UUID) -> None:
    transaction.on_commit(lambda: send_conduct_step(attempt_id))


def _require_item(attempt: Attempt, part: str, item: int) -> None:
    confirm = {"check": attempt.check_kind, "back": attempt.back_check_kind}.get(part, "")
    if item == CONFIRMATION and confirm == "confirm":
        return
    if not _item_text(attempt, part, item):
        raise Invalid("There is no such item on this checklist.", field="item")


def _require_time(attempt: Attempt, part: str) -> None:
    """What undoes it is ticked on the way back, and a check is confirmed of what stands: neither
    says anything of a time before."""
    state = attempt.state
    open_now = {"back": state in GOING_BACK, "check": state == AttemptState.JUDGING}
    if not open_now.get(part, state not in GOING_BACK):
        raise Conflict(
            f"Not now: it is {attempt.get_state_display().lower()}.", code="ticks_closed"
        )


def _item_text(attempt: Attempt, part: str, item: int) -> str:
    if item == CONFIRMATION:
        asked = attempt.back_check_parameters if part == "back" else attempt.check_parameters
        return str(asked.get("question", ""))
    field = {"do": "items", "back": "back_items"}.get(part, "")
    lines = [line for line in str(attempt.parameters.get(field, "")).splitlines() if line.strip()]
    return lines[item] if 0 <= item < len(lines) else ""
