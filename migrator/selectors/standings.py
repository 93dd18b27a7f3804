"""How one service stands: its stage, its health, and everything that holds its next step."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from core.choices import Stage
from migrator import gates
from migrator.choices import (
    FINAL,
    GOING_BACK,
    STEP_BEHIND,
    AttemptState,
    Direction,
    Health,
    Standing,
    StepState,
)
from migrator.models import Attempt, FreezeWindow, Plan, Service, Step, WaveService

if TYPE_CHECKING:
    from collections.abc import Iterable

STOP: Final = "emergency_stop"
"""Told when it is read: it holds everything at once, and setting it waits for nothing."""
WAITS: Final = "waits_for_person"
STUCK: Final = "return_stuck"
_AGAIN: Final = dt.timedelta(minutes=30)
_AGAIN_BLOCKED: Final = dt.timedelta(minutes=5)
"""What clears a gate may be written elsewhere (a proof, a finding): somebody waits for it."""
_SLOW: Final = dt.timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class HoldFound:
    """One reason, as a row of its own is made of it."""

    code: str
    subject: str = ""
    cause: str
    sentence: str
    clears: str
    link: str


@dataclass(kw_only=True)
class Found:
    """What a look at one service told."""

    stage: Standing = Standing.UNPLANNED
    health: Health = Health.NOT_PLANNED
    sentence: str = ""
    clears: str = ""
    link: str = ""
    late_since: dt.date | None = None
    plan: Plan | None = None
    step: Step | None = None
    steps: int = 0
    behind: int = 0
    began_at: dt.datetime | None = None
    arrived_at: dt.datetime | None = None
    look_again_at: dt.datetime
    holds: list[HoldFound] = field(default_factory=list)

    def say(self, health: Health, sentence: str, clears: str = "", link: str = "") -> None:
        self.health, self.sentence = health, sentence
        self.clears, self.link = clears, link

    def hold(self, **texts: str) -> None:
        self.holds.append(HoldFound(**texts))


@dataclass
class _Way:
    """One current plan with its steps, in order."""

    plan: Plan
    steps: list[Step]

    @property
    def behind(self) -> int:
        return sum(step.state in STEP_BEHIND for step in self.steps)

    @property
    def next(self) -> Step | None:
        return next((step for step in self.steps if step.state not in STEP_BEHIND), None)

    @property
    def begun(self) -> bool:
        return any(step.state != StepState.WAITING for step in self.steps)

    @property
    def over(self) -> bool:
        return bool(self.steps) and self.next is None


def standing_of(service: Service) -> Found:
    """How the service stands now. Some twenty queries, however many steps its plans have."""
    now = timezone.now()
    found = Found(look_again_at=now + _AGAIN)
    ways = _ways(service)
    attempts = _newest_attempts(ways)
    qa = next((way for way in ways if way.plan.stage == Stage.QA), None)
    production = next((way for way in ways if way.plan.stage == Stage.PRODUCTION), None)
    found.steps = sum(len(way.steps) for way in ways)
    found.behind = sum(way.behind for way in ways)
    found.began_at = _began(ways)
    live_on = {attempt.plan_id for attempt in attempts if not attempt.is_final}
    found.stage = _stage(qa, production, live_on)
    if found.stage == Standing.ARRIVED and production is not None:
        found.arrived_at = max(
            (step.state_since for step in production.steps if step.state_since), default=None
        )
    late = _lateness(service, found, attempts, now)
    way = _way_that_is_on(qa, production)
    if way is None:
        _say_without_a_step(service, found, late, has_production=production is not None)
        return found
    found.plan, found.step = way.plan, way.next
    attempt = next((each for each in attempts if each.plan_id == way.plan.pk), None)
    if attempt is not None and not attempt.is_final:
        found.step = next((s for s in way.steps if s.pk == attempt.step_id), way.next)
        _say_under_way(found, attempt, late)
    else:
        _say_before_the_next(found, way, attempt, late, now)
    return found


def _ways(service: Service) -> list[_Way]:
    plans = list(
        Plan.objects.current().filter(service=service).select_related("service__team", "cluster")
    )
    by_id = {plan.pk: _Way(plan, []) for plan in plans}
    steps = Step.objects.filter(plan__in=plans).select_related("rollback").order_by("position")
    for step in steps if plans else ():
        way = by_id[step.plan_id]
        step.plan = way.plan
        way.steps.append(step)
    return list(by_id.values())


def _newest_attempts(ways: Iterable[_Way]) -> list[Attempt]:
    """The newest one of each plan; rehearsals move no step."""
    plans = [way.plan.pk for way in ways]
    if not plans:
        return []
    newest = Attempt.objects.filter(plan__in=plans).exclude(
        direction=Direction.REHEARSAL, state__in=sorted(FINAL)
    )
    return list(newest.select_related("step").order_by("plan_id", "-asked_at").distinct("plan_id"))


def _stage(qa: _Way | None, production: _Way | None, live_on: set[int]) -> Standing:
    if qa is None and production is None:
        return Standing.UNPLANNED
    if production is not None and production.over:
        return Standing.ARRIVED
    if production is not None and (production.begun or production.plan.pk in live_on):
        return Standing.ON_PRODUCTION
    if qa is not None and qa.over:
        return Standing.PROVED
    if qa is not None and (qa.begun or qa.plan.pk in live_on):
        return Standing.ON_QA
    return Standing.PLANNED


def _way_that_is_on(qa: _Way | None, production: _Way | None) -> _Way | None:
    """The plan whose next step counts: production once it began, QA before."""
    if production is not None and production.begun:
        return None if production.over else production
    for way in (qa, production):
        if way is not None and not way.over:
            return way
    return None


def _began(ways: Iterable[_Way]) -> dt.datetime | None:
    changed = (
        Attempt.objects.filter(
            plan__in=[way.plan.pk for way in ways],
            direction=Direction.FORWARD,
            changed_at__isnull=False,
        )
        .order_by("changed_at")
        .values_list("changed_at", flat=True)[:1]
    )
    moments = [step.state_since for way in ways for step in way.steps if step.state == "done"]
    return min([*(each for each in moments if each), *(each for each in changed if each)],
               default=None)  # fmt: skip


@dataclass(frozen=True)
class _Late:
    since: dt.date
    sentence: str


def _lateness(
    service: Service, found: Found, attempts: Iterable[Attempt], now: dt.datetime
) -> _Late | None:
    late = _late_for_its_wave(service, found, now) or _late_step(attempts, now)
    found.late_since = late.since if late is not None else None
    return late


def _late_for_its_wave(service: Service, found: Found, now: dt.datetime) -> _Late | None:
    inside = WaveService.objects.filter(service=service, wave__archived_at=None)
    member = inside.select_related("wave").first()
    if member is None or found.stage == Standing.ARRIVED:
        return None
    wave, today, day = member.wave, now.date(), dt.timedelta(days=1)
    if today > wave.ends_on:
        left = found.steps - found.behind
        what = f"{left} step{'' if left == 1 else 's'} of its plans are ahead" if left else (
            "it has no plan" if not found.steps else "it is not planned for production yet"
        )  # fmt: skip
        return _Late(
            wave.ends_on + day,
            f"Wave “{wave}” was to end on {in_words(wave.ends_on)}, and {what}.",
        )
    if today > wave.starts_on and found.began_at is None:
        return _Late(
            wave.starts_on + day,
            f"Wave “{wave}” was to start on {in_words(wave.starts_on)}, and no step of it is done.",
        )
    return None


def _late_step(attempts: Iterable[Attempt], now: dt.datetime) -> _Late | None:
    for attempt in attempts:
        if attempt.is_final or attempt.direction == Direction.REHEARSAL:
            continue
        expected = dt.timedelta(seconds=attempt.step.expected_s)
        if now > attempt.asked_at + max(3 * expected, expected + _SLOW):
            hours = (now - attempt.asked_at).total_seconds() / 3600
            return _Late(
                (attempt.asked_at + expected).date(),
                f"“{attempt.step}” has been under way for {hours:.1f} h; "
                f"{max(1, round(expected.total_seconds() / 60))} min were expected.",
            )
    return None


def _say_without_a_step(
    service: Service, found: Found, late: _Late | None, *, has_production: bool
) -> None:
    """No step is ahead: nothing is planned, or everything is behind."""
    plan_it = ("Plan its way", reverse("new_plan", args=[service.slug]))
    if found.stage == Standing.ARRIVED:
        found.say(Health.ON_TRACK, "Every step is done.")
    elif late is not None:
        found.say(Health.LATE, late.sentence, *plan_it)
    elif found.stage == Standing.UNPLANNED:
        found.say(Health.NOT_PLANNED, "It has no plan yet.", *plan_it)
    elif has_production:
        found.say(Health.ON_TRACK, "Its plan for production has no steps yet.")
    else:
        found.say(Health.ON_TRACK, "Every step on QA is done; production is next.", *plan_it)


def _say_under_way(found: Found, attempt: Attempt, late: _Late | None) -> None:
    page = reverse("attempt", args=[attempt.pk])
    seen = str(attempt.seen.get("sentence", ""))
    if attempt.state == AttemptState.STUCK:
        sentence = f"The way back of “{attempt.step}” is stuck. {attempt.reason}".strip()
        found.hold(
            code=STUCK,
            cause="A way back is stuck",
            sentence=sentence,
            clears="Open the stuck return",
            link=page,
        )
        found.say(Health.BLOCKED, sentence, "Open the stuck return", page)
    elif attempt.direction != Direction.REHEARSAL and (
        attempt.state in GOING_BACK or attempt.direction == Direction.BACK
    ):
        found.say(
            Health.ROLLED_BACK,
            f"“{attempt.step}” is going back. {attempt.reason}".strip(),
            "Watch it",
            page,
        )
    elif attempt.state == AttemptState.INTERRUPTED or waits_for_ticks(attempt):
        what = "ticks on its list" if waits_for_ticks(attempt) else "a person"
        sentence = f"“{attempt.step}” waits for {what}. {attempt.reason}".strip()
        found.hold(
            code=WAITS,
            cause="A step waits for a person",
            sentence=sentence,
            clears="Open the step",
            link=page,
        )
        found.say(Health.BLOCKED, sentence, "Open the step", page)
    elif late is not None:
        found.say(Health.LATE, late.sentence, "Watch it", page)
    else:
        rehearsed = attempt.direction == Direction.REHEARSAL
        what = "is being rehearsed" if rehearsed else "is under way"
        sentence = f"“{attempt.step}” {what}. {seen}".strip()
        found.say(Health.ON_TRACK, sentence, "Watch it", page)


def waits_for_ticks(attempt: Attempt) -> bool:
    """A checklist is done by people alone."""
    return attempt.kind == "manual" and attempt.state == AttemptState.JUDGING


WAITS_FOR_PERSON: Final = Q(state__in=[AttemptState.INTERRUPTED, AttemptState.STUCK]) | Q(
    kind="manual", state__in=[AttemptState.JUDGING, AttemptState.RETURNING, AttemptState.PROVING]
)
"""Attempts that go no further without a person."""


def _say_before_the_next(
    found: Found, way: _Way, newest: Attempt | None, late: _Late | None, now: dt.datetime
) -> None:
    step, page = way.next, reverse("plan", args=[way.plan.pk])
    if step is None:
        found.say(Health.ON_TRACK, "Its plan has no steps yet.", "Add steps", page)
        return
    against = [each for each in gates.reasons(step) if each.code != STOP]
    holding = [each for each in against if each.holds]
    for each in holding:
        found.hold(
            code=each.code,
            subject=each.subject,
            cause=each.cause or each.sentence,
            sentence=each.sentence,
            clears=each.clears,
            link=each.link,
        )
    _look_again(found, way.plan, against, now)
    back = _went_back(way, newest)
    if back:
        link = reverse("attempt", args=[newest.pk]) if newest is not None else page
        found.say(Health.ROLLED_BACK, back, "See what happened", link)
    elif holding:
        first = holding[0]
        more = f" And {len(holding) - 1} more." if len(holding) > 1 else ""
        found.say(Health.BLOCKED, first.sentence + more, first.clears, first.link)
    elif late is not None:
        found.say(Health.LATE, late.sentence, "Open its plan", page)
    else:
        found.say(
            Health.ON_TRACK, f"Next is “{step}”, and nothing holds it.", "Open its plan", page
        )


def _went_back(way: _Way, newest: Attempt | None) -> str:
    """Why what was tried last does not stand any more; empty where it does."""
    undone = next((s for s in way.steps if s.state == StepState.ROLLED_BACK), None)
    if newest is not None and newest.direction == Direction.FORWARD:
        if newest.state == AttemptState.RETURNED:
            return f"“{newest.step}” went back. {newest.reason}".strip()
        if newest.state == AttemptState.RESOLVED_BY_HAND:
            return f"“{newest.step}” was put back by hand. {newest.reason}".strip()
    if undone is None:
        return ""
    since = f" on {in_words(undone.state_since.date())}" if undone.state_since else ""
    return f"“{undone}” was rolled back{since}."


def _look_again(
    found: Found, plan: Plan, against: Iterable[gates.Reason], now: dt.datetime
) -> None:
    """The moment from which the answer could be another without anybody writing anything."""
    moments = [found.look_again_at]
    if found.holds:
        moments.append(now + _AGAIN_BLOCKED)
    moments += [each.override.expires_at for each in against if each.override is not None]
    freezes = FreezeWindow.objects.filter(
        cluster=plan.cluster_id, lifted_at__isnull=True, ends_at__gt=now
    ).values_list("starts_at", "ends_at")
    moments += [moment for both in freezes for moment in both if moment > now]
    found.look_again_at = min(moments)


def in_words(day: dt.date) -> str:
    """`3 Nov 2026`."""
    return f"{day.day} {day:%b %Y}"
