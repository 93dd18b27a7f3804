"""Who needs whom among the services that a person may see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from django.db.models import Count, Q

from migrator.graph_layout import cycles, path
from migrator.models import Dependency, Service

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import QuerySet

    from core.models import User

READABLE: Final = 200
"""As many services as one picture shows; beyond it one is chosen, with those around it."""
STEPS_MAX: Final = 4


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

    @property
    def too_many(self) -> bool:
        return not self.services and self.total > READABLE


def in_words(cycle: Iterable[Service]) -> str:
    return " → ".join(service.name for service in cycle)


def cycle_through(user: User, service: Service) -> str:
    """`A → B → A` where the service needs itself in the end; empty where it does not."""
    after: dict[int, list[int]] = {}
    for a, b in _edges(user).values_list("service_id", "needs_id"):
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
    edges = list(_edges(user).values_list("service_id", "needs_id").order_by("service", "needs"))
    graph = Graph(total=len({pk for edge in edges for pk in edge}))
    graph.alone = Service.objects.visible_to(user).count() - graph.total
    if team:
        theirs = set(
            Service.objects.visible_to(user).filter(team__slug=team).values_list("pk", flat=True)
        )
        edges = [(a, b) for a, b in edges if a in theirs or b in theirs]
    shown = {pk for edge in edges for pk in edge}
    _find_cycles(graph, edges)
    if len(shown) <= READABLE:
        graph.services, graph.edges = _by_name(shown), edges
    elif team:
        graph.total = len(shown)
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
            found = set(sorted(found)[: READABLE - len(shown)])
            cut_off = True
        shown |= found
        frontier = found
    edges = list(
        visible.filter(service__in=shown, needs__in=shown)
        .values_list("service_id", "needs_id")
        .order_by("service", "needs")
    )
    graph = Graph(services=_by_name(shown), edges=edges, total=len(shown), cut_off=cut_off)
    _find_cycles(graph, edges)
    return graph


def most_connected(user: User, most: int = 20) -> QuerySet[Service]:
    """Where to begin looking when all together are too many."""
    return (
        Service.objects.visible_to(user)
        .annotate(
            edges=Count("dependencies", distinct=True) + Count("dependents", distinct=True),
        )
        .filter(edges__gt=0)
        .order_by("-edges", "name")[:most]
    )


def _edges(user: User) -> QuerySet[Dependency]:
    if user.is_superuser:
        return Dependency.objects.all()
    # The few teams as values: with a subquery for each end the planner is easily led astray.
    teams = list(user.memberships.values_list("team_id", flat=True))
    return Dependency.objects.filter(service__team__in=teams, needs__team__in=teams)


def _by_name(ids: Iterable[int]) -> list[Service]:
    return list(Service.objects.filter(pk__in=ids).select_related("team").order_by("name"))


def _find_cycles(graph: Graph, edges: list[tuple[int, int]]) -> None:
    found = cycles(sorted({pk for edge in edges for pk in edge}), edges)
    known = Service.objects.in_bulk({pk for cycle in found for pk in cycle})
    graph.cycles = [[known[pk] for pk in cycle] for cycle in found]
