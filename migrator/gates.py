"""What holds a step back: every reason at once, each with a stable code and what clears it.

Reasons come from functions of the form `(step) -> Iterable[Reason]`: those here, and those whose
dotted paths stand in `settings.BELAY_STEP_GATES`. So whoever knows of another reason (findings,
proofs) says it without being imported here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from django.conf import settings
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.module_loading import import_string

from core.choices import Stage
from core.errors import Conflict
from core.selectors import current_stop
from migrator.choices import STEP_BEHIND, Direction, RehearsalMark, Reversibility
from migrator.models import FreezeWindow, Override, Plan, RehearsalPolicy, RopeCheck, Step
from migrator.runners.registry import runner_of
from migrator.selectors.capacity import capacity_doubt
from migrator.selectors.dependencies import awaited_by
from migrator.selectors.rehearsals import rehearsals_that_count

if TYPE_CHECKING:
    from core.models import EmergencyStop, User

UNREHEARSED, STALE = "unrehearsed", "rehearsal_stale"
REHEARSAL_CODES = frozenset({UNREHEARSED, STALE})
_DAY, _HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)
_ROPE_COUNTS_FOR = 6 * _HOUR
"""It is looked at every hour; a few looks may be missed while many are to be made."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a step may not start."""

    code: str
    """Stable; an override is signed for one code, and for one subject of it."""
    sentence: str
    clears: str
    """What clears it, as a verb with its object: the text of the link."""
    link: str
    cause: str = ""
    """What holds, said without naming the step: the same words for all that it holds. Where it is
    empty, the sentence names no step."""
    subject: str = ""
    """Tells several reasons of one code apart, such as findings."""
    overridable: bool = True
    override: Override | None = None
    """Signed and not expired: it holds nobody back, and stays visible."""

    @property
    def holds(self) -> bool:
        return self.override is None


Gate = Callable[[Step], Iterable[Reason]]


def reasons(step: Step) -> list[Reason]:
    """Every reason against starting the step now, overridden ones too."""
    found = [reason for gate in (*_OWN, *_others()) for reason in gate(step)]
    signed = _overrides(step)
    return [
        replace(reason, override=signed.get((reason.code, reason.subject)))
        if reason.overridable
        else reason
        for reason in found
    ]


def closed(step: Step, *, without: Iterable[str] = ()) -> list[Reason]:
    """Those that hold the step now, but for the codes that are left out."""
    left_out = frozenset(without)
    return [each for each in reasons(step) if each.holds and each.code not in left_out]


def left_out_of(direction: str) -> frozenset[str]:
    """Codes that hold no attempt of that direction: nobody rehearses before a rehearsal."""
    return REHEARSAL_CODES if direction == Direction.REHEARSAL else frozenset()


def stop_sentence(stop: EmergencyStop) -> str:
    return f"The emergency stop is set, by {stop.set_by}: no step goes forward."


def require_open(step: Step, *, actor: User, without: Iterable[str] = ()) -> None:
    """Raise `Conflict` with the first reason that holds (its code), naming all of them."""
    holding = closed(step, without=without)
    if step.reversibility == Reversibility.ONE_WAY and not _signed_for(step, actor):
        holding.insert(0, _not_signed(step))
    if holding:
        raise Conflict(" ".join(each.sentence for each in holding), code=holding[0].code)


def _others() -> list[Gate]:
    return [import_string(path) for path in settings.BELAY_STEP_GATES]


def _overrides(step: Step) -> dict[tuple[str, str], Override]:
    found = Override.objects.filter(
        step=step, withdrawn_at__isnull=True, expires_at__gt=timezone.now()
    ).select_related("signed_by")
    return {
        (override.code, override.subject): override for override in found.order_by("expires_at")
    }


def _plan_link(step: Step, anchor: str = "") -> str:
    return reverse("plan", args=[step.plan_id]) + (f"#{anchor}" if anchor else "")


# -- the migrator's own ---------------------------------------------------------------------------


def _emergency_stop(step: Step) -> Iterable[Reason]:
    stop = current_stop()
    if stop is not None:
        yield Reason(
            code="emergency_stop",
            cause="The emergency stop is set",
            sentence=stop_sentence(stop),
            clears="Release the emergency stop",
            link=reverse("emergency"),
            overridable=False,
        )


def _way_back(step: Step) -> Iterable[Reason]:
    if step.reversibility == Reversibility.ONE_WAY:
        if not step.sign_offs.filter(step_version=step.version).exists():
            yield _not_signed(step)
    elif getattr(step, "rollback", None) is None:
        yield Reason(
            code="no_rollback_plan",
            cause="No way back is written down",
            sentence=f"“{step}” has no way back, and without one no step starts.",
            clears="Write the way back",
            link=reverse("edit_step", args=[step.pk]),
            overridable=False,
        )


def _rehearsed(step: Step) -> Iterable[Reason]:
    if step.reversibility == Reversibility.ONE_WAY or getattr(step, "rollback", None) is None:
        return
    if not runner_of(step.kind).needs_rehearsal:
        return
    policy = policy_for(step.plan)
    link = _plan_link(step, f"step-{step.pk}")
    counting = rehearsals_that_count(step, policy.accepted)
    if not counting:
        kinds = " or ".join(RehearsalMark(mark).label.lower() for mark in sorted(policy.accepted))
        yield Reason(
            code=UNREHEARSED,
            cause="The way back was never rehearsed",
            sentence=f"The way back of “{step}” has not been rehearsed with success ({kinds}).",
            clears="Rehearse the way back",
            link=link,
        )
        return
    newest = max(counting, key=lambda each: each.at)
    age = timezone.now() - newest.at
    if age > policy.days * _DAY:
        yield Reason(
            code=STALE,
            cause="The last rehearsal is too old to count",
            sentence=f"The way back of “{step}” was last rehearsed {age.days} days ago; after "
            f"{policy.days} days that counts no more.",
            clears="Rehearse the way back again",
            link=link,
        )


def _frozen(step: Step) -> Iterable[Reason]:
    now = timezone.now()
    for freeze in FreezeWindow.objects.filter(
        cluster=step.plan.cluster_id,
        starts_at__lte=now,
        ends_at__gt=now,
        lifted_at__isnull=True,
    ).select_related("cluster"):
        yield Reason(
            code="frozen",
            sentence=f"{freeze.cluster} is frozen until {freeze.ends_at:%Y-%m-%d %H:%M} UTC: "
            f"{freeze.why}",
            clears="Look at the freezes",
            link=reverse("freezes"),
        )


def _qa_first(step: Step) -> Iterable[Reason]:
    if step.plan.stage != Stage.PRODUCTION:
        return
    first = sibling(step.plan)
    if first is None:
        yield Reason(
            code="qa_first",
            cause="It is not done on QA yet",
            sentence=f"{step.plan.service} has no plan for QA: what goes to production goes to "
            "QA first.",
            clears="Plan it for QA",
            link=reverse("new_plan", args=[step.plan.service.slug]),
        )
        return
    same = first.steps.filter(key=step.key).first()
    if same is None or same.state not in STEP_BEHIND:
        yield Reason(
            code="qa_first",
            cause="It is not done on QA yet",
            sentence=f"On QA “{step}” is not done yet: what goes to production goes to QA first.",
            clears="Open the plan for QA",
            link=reverse("plan", args=[first.pk]),
        )


def doubt_of_age(check: RopeCheck) -> str:
    """Why a look counts no more: whoever looks every hour is gone, and what was seen then is
    assumed by now. Empty while it counts."""
    age = timezone.now() - check.at
    return "" if age <= _ROPE_COUNTS_FOR else f"it was last looked at {age // _HOUR} hours ago."


def _within_reach(step: Step) -> Iterable[Reason]:
    newest = RopeCheck.objects.filter(plan=step.plan_id).first()
    if newest is None:
        return
    why, lost = newest.why, newest.within_reach is False
    if newest.within_reach:
        why = doubt_of_age(newest)
        if not why:
            return
    yield Reason(
        code="not_within_reach" if lost else "reach_unknown",
        cause="The original state is not within reach"
        if lost
        else "Nobody could look whether the original state is within reach",
        sentence=("The original state is not within reach: " if lost else "Whether the original "
                  "state is within reach is not known: ") + why,
        clears="Check the rope again",
        link=_plan_link(step, "rope"),
    )  # fmt: skip


def _legacy_can_carry(step: Step) -> Iterable[Reason]:
    service = step.plan.service
    doubt = capacity_doubt(service, policy_for(step.plan))
    if doubt:
        yield Reason(
            code="capacity_unconfirmed",
            cause="Nobody vouches for what legacy can carry",
            sentence=f"The original state is not within reach: {doubt}",
            clears="Confirm what legacy can carry",
            link=reverse("service", args=[service.slug]) + "#legacy-title",
        )


def _dependencies(step: Step) -> Iterable[Reason]:
    """What changes nothing may be looked at before everything that it needs is there."""
    if not runner_of(step.kind).needs_rehearsal:
        return
    service = step.plan.service
    for each in awaited_by(service, Stage(step.plan.stage)):
        # Whoever sees the step sees the plans of its own team; of others the name is told.
        ours = each.service.team_id == service.team_id
        if ours and each.plan_id is not None:
            clears, link = "Open its plan", reverse("plan", args=[each.plan_id])
        elif ours:
            clears, link = "Plan its way", reverse("new_plan", args=[each.service.slug])
        else:
            clears = "Look at what it needs"
            link = reverse("service", args=[service.slug]) + "#dependencies"
        both = " They need each other: one of them has to go first." if each.mutual else ""
        yield Reason(
            code="dependency_not_there",
            cause=f"{each.service} is not there yet",
            subject=str(each.service.pk),
            sentence=f"{each.service}, which {service} needs, is not there yet: {each.state}."
            f"{both}",
            clears=clears,
            link=link,
        )


_OWN: tuple[Gate, ...] = (
    _emergency_stop,
    _way_back,
    _rehearsed,
    _frozen,
    _qa_first,
    _within_reach,
    _legacy_can_carry,
    _dependencies,
)


def policy_for(plan: Plan) -> RehearsalPolicy:
    """The policy of the service's tier, else that of every other tier."""
    tier = plan.service.tier
    written = RehearsalPolicy.objects.filter(Q(tier=tier) | Q(tier=None))
    found = {each.tier: each for each in written}
    return found.get(tier) or found.get(None) or RehearsalPolicy()


def sibling(plan: Plan) -> Plan | None:
    """The same service's current plan for QA: what it proved is shown, and asked for."""
    return (
        Plan.objects.current()
        .filter(service=plan.service_id, stage=Stage.QA)
        .exclude(pk=plan.pk)
        .select_related("cluster")
        .first()
    )


def _not_signed(step: Step) -> Reason:
    return Reason(
        code="not_signed_off",
        cause="A one-way step waits for a second person's signature",
        sentence=f"“{step}” is one way ({step.why_one_way}): a second person has to sign it off.",
        clears="Sign the step off",
        link=_plan_link(step, f"step-{step.pk}"),
        overridable=False,
    )


def _signed_for(step: Step, actor: User) -> bool:
    """By somebody other than who starts it, for the step as it is now."""
    signed = step.sign_offs.filter(step_version=step.version)
    return signed.exclude(signed_by=actor).exists()
