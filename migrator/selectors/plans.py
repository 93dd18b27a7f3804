"""Reads of plans: the list, one with its steps, the rope, and an attempt."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db.models import Count, Prefetch, Q, QuerySet
from django.utils import timezone

from core.errors import NotFound
from migrator import gates
from migrator.choices import STEP_BEHIND, Direction, Reversibility, StepState
from migrator.models import (
    Attempt,
    HistoryEntry,
    Override,
    Plan,
    Retreat,
    RopeCheck,
    Step,
    StepRehearsal,
)
from migrator.runners.checks import CHECKS
from migrator.runners.registry import RESTORE, RUNNERS
from migrator.selectors.capacity import capacity_doubt
from migrator.selectors.rehearsals import Rehearsed, StandIns, rehearsals_of, stand_ins_of

if TYPE_CHECKING:
    from core.models import User
    from migrator.models import Service

HISTORY_SHOWN = 60


def plans(user: User) -> QuerySet[Plan]:
    """Current plans by their service's name. How far each is: `under_way`."""
    return (
        Plan.objects.visible_to(user)
        .current()
        .select_related("service__team", "cluster")
        .order_by("service__name", "-stage", "pk")
    )


@dataclass(frozen=True, kw_only=True)
class UnderWay:
    """A plan, and how many of its steps are behind."""

    plan: Plan
    total: int
    behind: int


def under_way(found: Iterable[Plan]) -> list[UnderWay]:
    """How far these plans are, in their order. One query, and only of the steps of these: counted
    in the list's own query, every step that there is would be counted for each page."""
    shown = list(found)
    steps = Step.objects.filter(plan__in=[plan.pk for plan in shown]).order_by().values("plan")
    counted = {
        row["plan"]: row
        for row in steps.annotate(
            total=Count("pk"), behind=Count("pk", filter=Q(state__in=STEP_BEHIND))
        )
    }
    none = {"total": 0, "behind": 0}
    return [
        UnderWay(plan=plan, total=row["total"], behind=row["behind"])
        for plan in shown
        for row in [counted.get(plan.pk, none)]
    ]


def plans_of(user: User, service: Service) -> list[UnderWay]:
    """The current plans of one service: QA first."""
    return under_way(plans(user).filter(service=service))


def plan_with_id(user: User, plan_id: int) -> Plan:
    """The plan of that id. Raises `NotFound`, to outsiders too."""
    found = Plan.objects.visible_to(user).select_related(
        "service__team", "cluster__team", "made_from__template", "made_by"
    )
    plan = found.filter(pk=plan_id).first()
    if plan is None:
        raise NotFound("There is no such plan among those that you may see.")
    return plan


def step_with_id(user: User, step_id: int) -> Step:
    """The step of that id. Raises `NotFound`, to outsiders too."""
    step = (
        Step.objects.filter(plan__in=Plan.objects.visible_to(user))
        .select_related("plan__service__team", "plan__cluster__team", "rollback__owner")
        .filter(pk=step_id)
        .first()
    )
    if step is None:
        raise NotFound("There is no such step among those that you may see.")
    return step


def attempt_with_id(user: User, attempt_id: uuid.UUID) -> Attempt:
    """The attempt of that id. Raises `NotFound`, to outsiders too."""
    attempt = (
        Attempt.objects.filter(plan__in=Plan.objects.visible_to(user))
        .select_related(
            "plan__service__team",
            "plan__cluster__team",
            "step__rollback__owner",
            "asked_by",
            "back_asked_by",
            "retreat",
        )
        .filter(pk=attempt_id)
        .first()
    )
    if attempt is None:
        raise NotFound("There is no such attempt among those that you may see.")
    return attempt


def override_with_id(user: User, override_id: int) -> Override:
    """The override of that id. Raises `NotFound`, to outsiders too."""
    found = Override.objects.filter(plan__in=Plan.objects.visible_to(user)).select_related(
        "plan__service__team", "plan__cluster", "step"
    )
    override = found.filter(pk=override_id).first()
    if override is None:
        raise NotFound("There is no such override among those that you may see.")
    return override


@dataclass(kw_only=True)
class StepView:
    """A step as its page shows it."""

    step: Step
    kind_title: str
    icon: str
    what: str
    check: str
    way_back: str
    rehearsals: list[Rehearsed]
    overrides: list[Override]
    live: Attempt | None = None
    reasons: list[gates.Reason] = field(default_factory=list)
    is_next: bool = False
    proved_on_qa: str = ""
    signed: bool = False

    @property
    def state(self) -> str:
        """The word for it: of its live attempt where there is one."""
        return self.live.state if self.live is not None else self.step.state

    @property
    def holding(self) -> list[gates.Reason]:
        return [reason for reason in self.reasons if reason.holds]

    @property
    def newest_rehearsal(self) -> Rehearsed | None:
        return self.rehearsals[0] if self.rehearsals else None

    @property
    def rope(self) -> str:
        """How the rope looks at this step: `solid`, `thin`, or `broken`."""
        if self.step.reversibility == Reversibility.ONE_WAY:
            return "broken"
        newest = self.newest_rehearsal
        return "solid" if newest is not None and newest.succeeded else "thin"


@dataclass(frozen=True, kw_only=True)
class Rope:
    """Whether the original state is within reach, in one sentence, and how it was looked at."""

    sentence: str
    mark: str
    """`within_reach`, `not_within_reach` or `reach_unknown`."""
    check: RopeCheck | None
    lines: list[dict[str, Any]]
    """Everything that the way back needs, as it was last seen: `name`, `passed`, `sentence`."""


@dataclass(frozen=True, kw_only=True)
class PlanView:
    plan: Plan
    steps: list[StepView]
    rope: Rope
    live: Attempt | None
    retreat: Retreat | None
    last_retreat: Retreat | None
    history: list[HistoryEntry]
    first_plan: Plan | None
    """The same service's plan for QA, for one of production."""

    @property
    def done(self) -> int:
        return len([each for each in self.steps if each.step.state in STEP_BEHIND])

    @property
    def next(self) -> StepView | None:
        return next((each for each in self.steps if each.is_next), None)

    @property
    def first_done(self) -> StepView | None:
        """Taken back, it leaves the original state: what is before it was skipped."""
        return next((each for each in self.steps if each.step.state == StepState.DONE), None)


def plan_view(plan: Plan) -> PlanView:
    """Everything that the plan's page shows. The number of queries does not grow with its steps."""
    rows = list(
        plan.steps.select_related("rollback__owner")
        .prefetch_related(
            Prefetch("rehearsals", StepRehearsal.objects.select_related("by")),
            Prefetch("overrides", Override.objects.select_related("signed_by", "withdrawn_by")),
            "sign_offs__signed_by",
        )
        .order_by("position")
    )
    live = plan.attempts.live().select_related("asked_by", "back_asked_by", "step").first()
    first = gates.sibling(plan) if plan.stage == "production" else None
    proved = _proved_on(first) if first is not None else {}
    stand_ins = stand_ins_of(plan)
    steps = []
    ahead_seen = False
    for step in rows:
        step.plan = plan
        view = _view(step, proved, stand_ins)
        if live is not None and live.step_id == step.pk:
            view.live = live
        if not ahead_seen and step.state not in STEP_BEHIND:
            ahead_seen = view.is_next = True
            if live is None:
                view.reasons = gates.reasons(step)
        steps.append(view)
    retreats = list(plan.retreats.select_related("asked_by")[:1])
    newest = retreats[0] if retreats else None
    return PlanView(
        plan=plan,
        steps=steps,
        rope=rope_of(plan, steps),
        live=live,
        retreat=newest if newest is not None and newest.ended_at is None else None,
        last_retreat=newest if newest is not None and newest.ended_at is not None else None,
        history=list(
            plan.history.select_related("actor", "step").order_by("-at", "-pk")[:HISTORY_SHOWN]
        ),
        first_plan=first,
    )


def rope_of(plan: Plan, steps: Iterable[StepView]) -> Rope:
    """The rope in words: what is back, how long it takes, and what was last seen."""
    check = RopeCheck.objects.filter(plan=plan).first()
    doubt = capacity_doubt(plan.service, gates.policy_for(plan))
    lines = list(check.lines) if check is not None else []
    if plan.service.legacy_address:
        sentence = doubt or f"legacy can carry {plan.service.capacity}, as a person confirmed."
        lines.append({"name": "capacity", "passed": not doubt, "sentence": sentence})
    sentence, mark = _rope_in_words(check, doubt, list(steps))
    return Rope(sentence=sentence, mark=mark, check=check, lines=lines)


def _rope_in_words(check: RopeCheck | None, doubt: str, steps: list[StepView]) -> tuple[str, str]:
    """The sentence, and its mark."""
    done = [each for each in steps if each.step.state == StepState.DONE]
    lost = "not_within_reach"
    broken = next((each for each in done if each.rope == "broken"), None)
    if broken is not None:
        return f"The rope ends at “{broken.step}”: {broken.step.why_one_way}", lost
    over = next((each for each in done if _time_is_over(each.step)), None)
    if over is not None:
        days = over.step.reversible_days
        return f"“{over.step}” could be undone for {days} days, and they are over.", lost
    if check is not None and check.within_reach is False:
        return f"Not within reach: {check.why}", lost
    if doubt:
        return f"Not within reach: {doubt}", lost
    if check is not None and check.within_reach is None:
        return f"Unknown: {check.why}", "reach_unknown"
    if check is not None and (old := gates.doubt_of_age(check)):
        return f"Unknown: {old}", "reach_unknown"
    mark = "within_reach" if check is not None else "reach_unknown"
    if not done:
        return "Nothing was moved yet: this is the original state.", mark
    return _reach_sentence(done), mark


def open_overrides(steps: Iterable[StepView]) -> list[Override]:
    now = timezone.now()
    return [
        override
        for view in steps
        for override in view.overrides
        if override.withdrawn_at is None and override.expires_at > now
    ]


def check_in_words(kind: str, parameters: dict[str, object]) -> str:
    found = CHECKS.get(kind)
    words = found.in_words(parameters) if found else kind
    return words[:1].upper() + words[1:]


def way_back_in_words(step: Step) -> str:
    rollback = getattr(step, "rollback", None)
    if rollback is None:
        return step.why_one_way or "None is written down."
    if rollback.kind == RESTORE:
        return "Put back what the step wrote down before it changed anything."
    runner = RUNNERS.get(rollback.kind)
    words = runner.in_words(rollback.parameters) if runner else rollback.kind
    return words[:1].upper() + words[1:]


def _reach_sentence(done: list[StepView]) -> str:
    seconds = 0
    stamps: list[dt.datetime] = []
    unrehearsed = 0
    for each in done:
        newest = each.newest_rehearsal
        if newest is None or not newest.succeeded:
            unrehearsed += 1
            rollback = getattr(each.step, "rollback", None)
            seconds += rollback.expected_s if rollback is not None else 0
        else:
            seconds += newest.duration_s
            stamps.append(newest.at)
    number = len(done)
    how_long = f"{max(1, round(seconds / 60))} minutes" if seconds >= 60 else f"{seconds} s"
    text = (
        f"The original state is within reach: {number} step{'' if number == 1 else 's'} back, "
        f"about {how_long}"
    )
    if unrehearsed:
        return f"{text}; {unrehearsed} of them never rehearsed."
    days = (timezone.now() - min(stamps)).days
    ago = "today" if days == 0 else f"{days} day{'' if days == 1 else 's'} ago"
    return f"{text}, last rehearsed {ago}."


def _time_is_over(step: Step) -> bool:
    if step.reversibility != Reversibility.UNTIL or step.state_since is None:
        return False
    return timezone.now() > step.state_since + dt.timedelta(days=step.reversible_days or 0)


def _view(step: Step, proved: dict[str, str], stand_ins: StandIns) -> StepView:
    runner = RUNNERS.get(step.kind)
    return StepView(
        step=step,
        kind_title=runner.title if runner else step.kind,
        icon=runner.icon if runner else "help-circle",
        what=runner.in_words(step.parameters) if runner else "",
        check=check_in_words(step.check_kind, step.check_parameters),
        way_back=way_back_in_words(step),
        rehearsals=rehearsals_of(step, stand_ins),
        overrides=list(step.overrides.all()),
        proved_on_qa=proved.get(step.key, ""),
        signed=any(s.step_version == step.version for s in step.sign_offs.all()),
    )


def _proved_on(first: Plan) -> dict[str, str]:
    """What the plan for QA proved, by step."""
    proved = {}
    done = Attempt.objects.filter(
        plan=first, direction=Direction.FORWARD, state="step_done"
    ).select_related("step")
    for attempt in done.order_by("ended_at"):
        sentence = str(attempt.seen.get("sentence", ""))
        proved[attempt.step.key] = f"Done on {first.cluster}: {sentence}".strip()
    return proved
