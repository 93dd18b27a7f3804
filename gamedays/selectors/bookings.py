"""Gamedays: the list, the weeks, one with its agenda."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.db.models import Prefetch
from django.utils import timezone

from core.errors import NotFound
from gamedays.choices import GAMEDAY_OPEN, GamedayState, InjectionState
from gamedays.models import AgendaItem, Finding, Gameday, Injection
from gamedays.selectors.words import parameters_in_words, scenario_or_none, scenario_title

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from core.models import User
    from gamedays.scenarios.base import Scenario


@dataclass(frozen=True, slots=True)
class Planned:
    """One agenda item with its scenario and its newest run."""

    item: AgendaItem
    scenario: Scenario | None
    run: Injection | None

    @property
    def title(self) -> str:
        return scenario_title(self.item.scenario_key)

    @property
    def parameters(self) -> list[tuple[str, str]]:
        return parameters_in_words(self.item.scenario_key, self.item.parameters)

    @property
    def is_due(self) -> bool:
        """Not run yet; a refused run touched nothing and may be tried again."""
        return self.run is None or self.run.state == InjectionState.REFUSED

    @property
    def worst_case_s(self) -> int | None:
        return self.scenario.worst_case_s(self.item.parameters) if self.scenario else None


@dataclass(slots=True)
class Day:
    """One day of the week view."""

    date: dt.date
    is_today: bool
    gamedays: list[Gameday] = field(default_factory=list)


def gamedays(user: User) -> QuerySet[Gameday]:
    """With what every list shows, in a constant number of queries."""
    agenda = Prefetch("agenda", AgendaItem.objects.order_by("position"))
    return (
        Gameday.objects.visible_to(user)
        .select_related("cluster__team", "facilitator", "booked_by")
        .prefetch_related(agenda)
    )


def gameday_with_id(user: User, gameday_id: int) -> Gameday:
    """The gameday of that id. Raises `NotFound`, to outsiders too."""
    found = (
        gamedays(user)
        .select_related("verification__finding", "started_by")
        .filter(pk=gameday_id)
        .first()
    )
    if found is None:
        raise NotFound(f"There is no gameday {gameday_id} among those that you may see.")
    return found


def upcoming(user: User) -> QuerySet[Gameday]:
    """Running ones, and booked ones whose time is not over; the soonest first."""
    return (
        gamedays(user)
        .filter(state__in=GAMEDAY_OPEN, period__endswith__gt=timezone.now())
        .order_by("period", "pk")
    )


def past(user: User) -> QuerySet[Gameday]:
    """Those that are over, the newest first, with their runs."""
    over = gamedays(user).exclude(pk__in=upcoming(user).values("pk"))
    runs = Prefetch("agenda__injections", Injection.objects.order_by("asked_at"))
    return over.prefetch_related(runs).order_by("-period", "-pk")


def planned(gameday: Gameday) -> list[Planned]:
    """The agenda in its order. Two queries."""
    newest: dict[int, Injection] = {}
    for run in Injection.objects.filter(agenda_item__gameday=gameday).order_by("asked_at"):
        newest[run.agenda_item_id] = run
    return [
        Planned(item, scenario_or_none(item.scenario_key), newest.get(item.pk))
        for item in gameday.agenda.all()
    ]


def findings_of(gameday: Gameday) -> list[Finding]:
    """What its runs brought to light, in the agenda's order."""
    found = Finding.objects.filter(injection__agenda_item__gameday=gameday)
    return list(found.order_by("injection__agenda_item__position", "created_at"))


def week_of(user: User, day: dt.date) -> list[Day]:
    """Monday to Sunday around `day`, in the active zone, with what is booked on each."""
    monday = day - dt.timedelta(days=day.weekday())
    zone = timezone.get_current_timezone()
    begin = dt.datetime.combine(monday, dt.time(), zone)
    end = dt.datetime.combine(monday + dt.timedelta(days=7), dt.time(), zone)
    today = timezone.localdate()
    days = [Day(date, date == today) for date in (monday + dt.timedelta(days=n) for n in range(7))]
    booked = (
        gamedays(user)
        .exclude(state=GamedayState.CANCELLED)
        .filter(period__overlap=(begin, end))
        .order_by("period")
    )
    for gameday in booked:
        date = max(timezone.localdate(gameday.starts_at), monday)
        days[(date - monday).days].gamedays.append(gameday)
    return days
