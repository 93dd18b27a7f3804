"""The board: services by stage with progress and health, and what holds them, in few queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from django.db.models import Case, Count, F, IntegerField, Q, Sum, Value, When, Window
from django.db.models.functions import RowNumber

from core.selectors import current_stop
from migrator.choices import Health, Standing
from migrator.models import Service, StandingMark
from migrator.selectors.services import Wanted, health_now, services

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from core.models import EmergencyStop, User

FIRST: Final = 5
"""Cards of one column; the rest is a list of its own."""
_ORDER: Final = {health: rank for rank, health in enumerate(Health)}
FILTERS: Final = ("team", "tier", "tag", "cluster", "wave")


@dataclass(kw_only=True)
class Tally:
    """How many services there are, how far they have come, and how they fare."""

    services: int = 0
    steps: int = 0
    behind: int = 0
    rolled_back: int = 0
    blocked: int = 0
    late: int = 0
    on_track: int = 0
    not_planned: int = 0

    def add(self, health: str, services: int, steps: int, behind: int) -> None:
        self.services += services
        self.steps += steps
        self.behind += behind
        setattr(self, health, getattr(self, health) + services)

    @property
    def percent(self) -> int:
        """Of the steps that are planned. Never 100 while one is ahead."""
        return self.behind * 100 // self.steps if self.steps else 0

    @property
    def by_health(self) -> list[tuple[Health, int]]:
        """The worst first, without those that there are none of."""
        return [(h, getattr(self, h)) for h in Health if getattr(self, h)]


@dataclass(kw_only=True)
class Column:
    stage: Standing
    tally: Tally
    cards: list[Service]
    """The first few, the worst first; each with `now`, its health."""
    query: str
    """What the list of all of them is asked with."""

    @property
    def more(self) -> int:
        return self.tally.services - len(self.cards)


@dataclass(frozen=True, kw_only=True)
class Board:
    columns: list[Column]
    total: Tally
    arrived: int
    stop: EmergencyStop | None
    waiting: int
    """Services of which something was written that is not counted yet."""


def board(user: User, wanted: Wanted) -> Board:
    """Six columns with their figures and first cards. Six queries, for any number of services."""
    chosen = services(user, wanted).annotate(now=health_now())
    columns = {
        stage: Column(stage=stage, tally=Tally(), cards=[], query=_query(wanted, stage=stage))
        for stage in Standing
    }
    total = Tally()
    figures = (
        chosen.order_by()
        .values_list("standing__stage", "now")
        .annotate(number=Count("pk"), steps=Sum("standing__steps"), behind=Sum("standing__behind"))
    )
    for stage, health, *numbers in figures:
        columns[Standing(stage)].tally.add(health, *numbers)
        total.add(health, *numbers)
    for card in _first_cards(chosen):
        columns[Standing(card.standing.stage)].cards.append(card)
    return Board(
        columns=list(columns.values()),
        total=total,
        arrived=columns[Standing.ARRIVED].tally.services,
        stop=current_stop(),
        waiting=StandingMark.objects.values("service_id").distinct().count(),
    )


def worst_first(chosen: QuerySet[Service]) -> QuerySet[Service]:
    """Services with `now`, their health, in the order in which a person looks at them."""
    rank = Case(
        *(When(now=health, then=Value(rank)) for health, rank in _ORDER.items()),
        default=Value(len(_ORDER)),
        output_field=IntegerField(),
    )
    return chosen.annotate(worst=rank).order_by("worst", "standing__late_since", "name")


def _first_cards(chosen: QuerySet[Service]) -> QuerySet[Service]:
    place = Window(
        RowNumber(),
        partition_by=F("standing__stage"),
        order_by=("worst", "standing__late_since", "name"),
    )
    # The keys first: ten thousand rows are sorted whole otherwise, with everything they hold.
    keys = worst_first(chosen).annotate(place=place).filter(place__lte=FIRST)
    return worst_first(chosen.filter(pk__in=list(keys.order_by().values_list("pk", flat=True))))


def _query(wanted: Wanted, **more: str) -> str:
    """The address of the services list that shows the same services."""
    asked = {name: value for name, value in {**vars(wanted), **more}.items() if value}
    return urlencode(asked)


@dataclass(frozen=True, kw_only=True)
class Moved:
    """The migration in one line."""

    services: int
    arrived: int
    steps: int
    behind: int


def moved(user: User) -> Moved:
    """How far everything is that the person sees. One query."""
    figures = (
        services(user)
        .order_by()
        .aggregate(
            number=Count("pk"),
            arrived=Count("pk", filter=Q(standing__stage=Standing.ARRIVED)),
            steps=Sum("standing__steps", default=0),
            behind=Sum("standing__behind", default=0),
        )
    )
    return Moved(
        services=figures["number"],
        arrived=figures["arrived"],
        steps=figures["steps"],
        behind=figures["behind"],
    )
