"""What waits for one person: steps, signatures, rehearsals, returns that are stuck, capacities."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.db.models import Case, Count, IntegerField, Q, Value, When, Window
from django.urls import reverse

from core.choices import Role
from migrator.choices import AttemptState, Direction
from migrator.gates import REHEARSAL_CODES
from migrator.models import Attempt, Hold, Plan
from migrator.selectors.standings import WAITS_FOR_PERSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.db.models import QuerySet

    from core.models import User

MOST: Final = 8
_RUNNERS: Final = (Role.LEAD, Role.ENGINEER)
_ANYBODYS: Final = ("not_signed_off", "capacity_unconfirmed")
_ALL: Final = Window(Count("pk"))


@dataclass(frozen=True, kw_only=True)
class StepNeed:
    """One thing that waits for this person."""

    what: str
    why: str
    verb: str
    link: str
    state: str
    """A key of the marks."""
    since: dt.datetime | None = None


@dataclass(frozen=True, kw_only=True)
class StepNeeds:
    """The most pressing ones, and how many there are in all."""

    first: list[StepNeed]
    number: int

    @property
    def more(self) -> int:
        return self.number - len(self.first)


def step_needs(user: User, most: int = MOST) -> StepNeeds:
    """What waits for this person: stuck returns first, then steps, signatures, rehearsals, and
    capacities. Three queries. For who only watches, nothing."""
    theirs = _theirs(user)
    attempts = _attempts(theirs).select_related("step", "plan__service")
    holds = _holds(user, theirs).select_related("service", "step")
    # How many there are in all comes with the rows: *This week* is opened by everybody.
    first_attempts = list(attempts.annotate(all=_ALL)[:most])
    first_holds = list(holds.annotate(all=_ALL)[:most])
    found = [*map(_of_attempt, first_attempts), *map(_of_hold, first_holds)]
    return StepNeeds(first=found[:most], number=_number(first_attempts) + _number(first_holds))


def _number(rows: Sequence[Any]) -> int:
    return int(rows[0].all) if rows else 0


def _theirs(user: User) -> Q:
    """Of services that the person may move."""
    if user.is_superuser:
        return Q()
    teams = list(user.memberships.filter(role__in=_RUNNERS).values_list("team_id", flat=True))
    return Q(service__team__in=teams)


def _attempts(theirs: Q) -> QuerySet[Attempt]:
    stuck_first = Case(
        When(state=AttemptState.STUCK, then=Value(0)),
        When(state=AttemptState.INTERRUPTED, then=Value(1)),
        default=Value(2),
        output_field=IntegerField(),
    )
    return (
        Attempt.objects.live()
        .filter(WAITS_FOR_PERSON, plan__in=Plan.objects.filter(theirs).values("pk"))
        .order_by(stuck_first, "asked_at", "pk")
    )


def _holds(user: User, theirs: Q) -> QuerySet[Hold]:
    """A signature and a capacity are anybody's of the team; a rehearsal is asked of who answers for
    the way back."""
    anybodys = Q(code__in=_ANYBODYS)
    mine = Q(code__in=REHEARSAL_CODES, step__rollback__owner=user)
    rank = Case(
        When(code="not_signed_off", then=Value(0)),
        When(code__in=REHEARSAL_CODES, then=Value(1)),
        default=Value(2),
        output_field=IntegerField(),
    )
    found = Hold.objects.filter(anybodys | mine, theirs)
    return found.order_by(rank, "service__tier", "service__name", "pk")


def _of_attempt(attempt: Attempt) -> StepNeed:
    service, link = attempt.plan.service, reverse("attempt", args=[attempt.pk])
    what = f"{service}: {attempt.step}"
    if attempt.state == AttemptState.STUCK:
        why, verb = f"Its way back is stuck. {attempt.reason}", "Open the stuck return"
    elif attempt.state == AttemptState.INTERRUPTED:
        why, verb = f"It waits for a person. {attempt.reason}", "Go on, or go back"
    else:
        undone = attempt.state != AttemptState.JUDGING or attempt.direction == Direction.BACK
        why = f"Its checklist{' for the way back' if undone else ''} waits to be ticked."
        verb = "Open the checklist"
    return StepNeed(
        what=what, why=why.strip(), verb=verb, link=link, state=attempt.state,
        since=attempt.asked_at,
    )  # fmt: skip


_STATES: Final = {"not_signed_off": "requested", "capacity_unconfirmed": "not_confirmed"}


def _of_hold(hold: Hold) -> StepNeed:
    whole = hold.code == "capacity_unconfirmed"
    return StepNeed(
        what=str(hold.service) if whole else f"{hold.service}: {hold.step}",
        why=hold.sentence,
        verb=hold.clears,
        link=hold.link,
        state=_STATES.get(hold.code, hold.code),
    )
