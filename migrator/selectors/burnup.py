"""Burn-up: how many steps were to be done, and were done, week by week.

Everything is a fact with a date: a plan was made (its steps are to be done from then on), a step
ended, a step was skipped (it is to be done no more). A step that was rolled back is not done.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from django.db.models import Count
from django.db.models.functions import TruncWeek
from django.utils import timezone

from core.models import Team
from migrator.choices import StepState
from migrator.models import Plan, Step

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.models import User

WEEKS_MAX: Final = 104
"""Older weeks are told as one, the first."""
_WEEK: Final = dt.timedelta(weeks=1)


@dataclass(frozen=True, kw_only=True)
class Week:
    """How it stood when the week ended, or stands now."""

    monday: dt.date
    scope: int
    done: int

    @property
    def ahead(self) -> int:
        return self.scope - self.done


@dataclass(frozen=True, kw_only=True)
class BurnUp:
    team: Team | None
    """None for everybody's together."""
    weeks: list[Week]

    @property
    def now(self) -> Week:
        return self.weeks[-1]


def burn_ups(user: User, *, team: str = "") -> list[BurnUp]:
    """All together first, then each team's by name; of one team where it is given. Two queries,
    of which one counts every step, grouped by week."""
    plans = Plan.objects.visible_to(user).current()
    if team:
        plans = plans.filter(service__team__slug=team)
    counted = (
        Step.objects.filter(plan__in=plans)
        .order_by()
        .values(
            "plan__service__team",
            "state",
            made=TruncWeek("plan__made_at", tzinfo=dt.UTC),
            since=TruncWeek("state_since", tzinfo=dt.UTC),
        )
        .annotate(number=Count("pk"))
        .values_list("plan__service__team", "state", "made", "since", "number")
    )
    scope: dict[int, Counter[dt.date]] = defaultdict(Counter)
    done: dict[int, Counter[dt.date]] = defaultdict(Counter)
    for owner, state, made, since, number in counted:
        # A step that was added later counts from its plan on; one that ended before its plan was
        # made (a clone's) cannot be.
        first = made.date()
        scope[owner][first] += number
        if state == StepState.SKIPPED:
            scope[owner][since.date() if since else first] -= number
        elif state == StepState.DONE:
            done[owner][since.date() if since else first] += number
    if not scope:
        return []
    teams = {each.pk: each for each in Team.objects.filter(pk__in=scope)}
    everything = BurnUp(team=None, weeks=_weeks(_sum(scope.values()), _sum(done.values())))
    each = [
        BurnUp(team=teams[pk], weeks=_weeks(scope[pk], done[pk]))
        for pk in sorted(scope, key=lambda pk: teams[pk].name)
    ]
    return each if len(each) == 1 else [everything, *each]


def _sum(counters: Iterable[Counter[dt.date]]) -> Counter[dt.date]:
    total: Counter[dt.date] = Counter()
    for counter in counters:
        total.update(counter)
    return total


def _weeks(scope: Counter[dt.date], done: Counter[dt.date]) -> list[Week]:
    today = timezone.now().date()
    last = today - dt.timedelta(days=today.weekday())
    first = min([*scope, *done, last])
    first = max(first, last - (WEEKS_MAX - 1) * _WEEK)
    mondays = [first + number * _WEEK for number in range((last - first).days // 7 + 1)]

    def line(changes: Counter[dt.date]) -> list[int]:
        before = sum(number for monday, number in changes.items() if monday < first)
        return list(accumulate([before + changes[first], *(changes[each] for each in mondays[1:])]))

    return [
        Week(monday=monday, scope=planned, done=ended)
        for monday, planned, ended in zip(mondays, line(scope), line(done), strict=True)
    ]
