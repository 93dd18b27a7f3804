"""Who needs whom among the services that a person may see."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from django.contrib.postgres.aggregates import ArrayAgg
from django.db import connection
from django.db.models import Q, Value

from migrator.graph_layout import cycles, path
from migrator.models import Dependency, Service

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import QuerySet

    from core.models import User

READABLE: Final = 200
"""As many services as one picture shows; beyond it one is chosen, with those around it."""
STEPS_MAX: Final = 4
_OFFERED: Final = 20
# A way of any length is nothing that the ORM can ask for. Whoever is reached may be seen.
_LEADS_BACK: Final = """
WITH RECURSIVE reach (id) AS (
    SELECT id FROM migrator_service
    WHERE id = %(service)s AND (%(all)s OR team_id = ANY (%(teams)s::bigint[]))
    UNION
    SELECT edge.needs_id FROM reach
    JOIN migrator_dependency edge ON edge.service_id = reach.id
    JOIN migrator_service needed ON needed.id = edge.needs_id
    WHERE %(all)s OR needed.team_id = ANY (%(teams)s::bigint[])
)
SELECT edge.service_id, edge.needs_id FROM reach
JOIN migrator_dependency edge ON edge.service_id = reach.id
WHERE edge.needs_id IN (SELECT id FROM reach) AND EXISTS (
    SELECT 1 FROM reach JOIN migrator_dependency back ON back.service_id = reach.id
    WHERE back.needs_id = %(service)s
)
ORDER BY edge.service_id, edge.needs_id
"""


@dataclass
class Graph:
    """What a picture shows. `edges` are pairs of ids: the first needs the second."""

    services: list[Service] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)
    cycles: list[list[Service]] = field(default_factory=list)
    total: int = 0
    """Services with any dependency, in the picture or not."""
    alone: int = 0
    """Services without any."""
    cut_off: bool = False
    """Whether there are more around the chosen one than a picture can show."""
    begin_with: list[tuple[Service, int]] = field(default_factory=list)
    """Where too many are to be drawn: those with most dependencies, and how many each has."""

    @property
    def too_many(self) -> bool:
        return not self.services and self.total > READABLE


def in_words(cycle: Iterable[Service]) -> str:
    return " → ".join(service.name for service in cycle)


def cycle_through(user: User, service: Service) -> str:
    """`A → B → A` where the service needs itself in the end; empty where it does not."""
    after: dict[int, list[int]] = {}
    for a, b in _edges_that_lead_back_to(user, service):
        after.setdefault(a, []).append(b)
    way = path(service.pk, service.pk, after)
    if not way:
        return ""
    known = Service.objects.in_bulk(way)
    return in_words(known[pk] for pk in way)


def graph_of(user: User, *, team: str = "") -> Graph:
    """All services with dependencies, of one team with its direct neighbours or of everybody.

    Where they are too many for one picture, only cycles and figures.
    """
    needing, needed = _columns(_edges(user))
    graph = Graph(total=len({*needing, *needed}))
    graph.alone = Service.objects.visible_to(user).count() - graph.total
    if team:
        theirs = set(
            Service.objects.visible_to(user).filter(team__slug=team).values_list("pk", flat=True)
        )
        every = zip(needing, needed, strict=True)
        kept = [(a, b) for a, b in every if a in theirs or b in theirs]
        needing, needed = [a for a, _b in kept], [b for _a, b in kept]
    shown = {*needing, *needed}
    _find_cycles(graph, shown, zip(needing, needed, strict=True))
    if len(shown) <= READABLE:
        _take(graph, shown, zip(needing, needed, strict=True))
    else:
        graph.total = len(shown)
        graph.begin_with = _most_connected([*needing, *needed])
    return graph


def graph_around(user: User, service: Service, *, steps: int) -> Graph:
    """One service with those up to `steps` away, whoever needs whom."""
    shown, frontier = {service.pk}, {service.pk}
    cut_off = False
    visible = _edges(user)
    for _step in range(steps):
        near = visible.filter(Q(service__in=frontier) | Q(needs__in=frontier))
        found = {pk for edge in near.values_list("service_id", "needs_id") for pk in edge} - shown
        if len(shown) + len(found) > READABLE:
            shown |= set(sorted(found)[: READABLE - len(shown)])
            cut_off = True
            break
        shown |= found
        frontier = found
    needing, needed = _columns(visible.filter(service__in=shown, needs__in=shown))
    graph = Graph(total=len(shown), cut_off=cut_off)
    _take(graph, shown, zip(needing, needed, strict=True))
    _find_cycles(graph, shown, graph.edges)
    return graph


def _most_connected(ends: list[int]) -> list[tuple[Service, int]]:
    """Where to begin looking when all together are too many. `ends` of every edge."""
    number = Counter(ends)
    # Equal ones by name: a few more are fetched than are shown.
    known = Service.objects.in_bulk([pk for pk, _many in number.most_common(5 * _OFFERED)])
    found = [(service, number[pk]) for pk, service in known.items()]
    return sorted(found, key=lambda each: (-each[1], each[0].name))[:_OFFERED]


def _edges(user: User) -> QuerySet[Dependency]:
    if user.is_superuser:
        return Dependency.objects.all()
    teams = _teams_of(user)
    return Dependency.objects.filter(service__team__in=teams, needs__team__in=teams)


def _teams_of(user: User) -> list[int]:
    """As values: with a subquery for each end of an edge the planner is easily led astray."""
    return list(user.memberships.values_list("team_id", flat=True))


def _edges_that_lead_back_to(user: User, service: Service) -> list[tuple[int, int]]:
    """Of what the service needs, directly or not, in so far as the person may see it: from most
    services that is a small part of the whole graph. Nothing where no way leads back."""
    teams = _teams_of(user)
    with connection.cursor() as cursor:
        cursor.execute(
            _LEADS_BACK, {"service": service.pk, "all": user.is_superuser, "teams": teams}
        )
        return [(int(a), int(b)) for a, b in cursor.fetchall()]


def _columns(found: QuerySet[Dependency]) -> tuple[list[int], list[int]]:
    """Who needs, and beside it what is needed. Two lists, not tens of thousands of rows: those
    would cost more than all that is done with them."""
    order = ("service_id", "needs_id")
    row = found.aggregate(
        needing=ArrayAgg("service_id", order_by=order, default=Value([])),
        needed=ArrayAgg("needs_id", order_by=order, default=Value([])),
    )
    return row["needing"], row["needed"]


def _take(graph: Graph, shown: Iterable[int], edges: Iterable[tuple[int, int]]) -> None:
    """What the picture shows, by name."""
    by_name = Service.objects.filter(pk__in=shown).select_related("team").order_by("name")
    graph.services = list(by_name)
    place = {service.pk: at for at, service in enumerate(graph.services)}
    graph.edges = sorted(edges, key=lambda edge: (place[edge[0]], place[edge[1]]))


def _find_cycles(graph: Graph, nodes: Iterable[int], edges: Iterable[tuple[int, int]]) -> None:
    found = cycles(sorted(nodes), edges)
    known = Service.objects.in_bulk({pk for cycle in found for pk in cycle})
    graph.cycles = [[known[pk] for pk in cycle] for cycle in found]
