"""A look into a cluster: what runs there, and which of it is a service of ours already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from core import kube, policies
from core.errors import ClusterUnreachable
from migrator.drivers.cluster_objects import ROUTE, ClusterObjects, Found
from migrator.models import Service

if TYPE_CHECKING:
    from core.models import Cluster, User

__all__ = ["ROUTE", "Discovery", "FoundRow", "discover"]

log = structlog.get_logger(__name__)
BELAYS_OWN: Final = frozenset({"belay", "belay-guard", "belay-marker", "belay-runs"})
_SYSTEM: Final = ("kube-",)
_SYSTEM_NAMES: Final = frozenset({"projectcontour"})


@dataclass(frozen=True)
class FoundRow:
    """One object with the service that it is linked to, and the route that leads to it."""

    found: Found
    linked: Service | None
    """A service that the person may see."""
    elsewhere: bool
    """Linked to a service of a team that the person is not in."""
    route: str = ""
    """For a workload: the route of its namespace that leads to what is called like it."""
    system: bool = False

    @property
    def is_route(self) -> bool:
        return self.found.kind == ROUTE


@dataclass(frozen=True)
class Discovery:
    rows: list[FoundRow]
    gaps: list[str]
    """What could not be looked at, in words."""


def discover(*, actor: User, cluster: Cluster) -> Discovery:
    """List the workloads and routes of a cluster. Writes nothing, here or there.

    Raises:
        NotFound: an outsider. NotAllowed: who may write no team's services.
        ClusterRefused: `may_not_read`. ClusterUnreachable: no answer.
    """
    policies.require_see(actor, cluster)
    policies.require_keep_some_services(actor)
    try:
        seen = ClusterObjects(kube.credentials_of(cluster)).look()
    except ClusterUnreachable as error:
        log.info("discovery_failed", cluster=cluster.name, why=error.message)
        raise ClusterUnreachable(
            f"{cluster.name} could not be looked at: {error.message}. That says nothing about "
            "what runs there; try again, or look at the cluster's page."
        ) from error
    linked = _Linked(actor, cluster)
    routes: dict[tuple[str, str], str] = {}
    for each in seen.found:
        if each.kind == ROUTE:
            for backend in each.backends:
                routes.setdefault((each.namespace, backend), each.name)
    rows = [
        FoundRow(
            found=each,
            linked=linked.to(each),
            elsewhere=linked.elsewhere(each),
            route="" if each.kind == ROUTE else routes.get((each.namespace, each.name), ""),
            system=_is_system(each.namespace),
        )
        for each in sorted(seen.found, key=lambda f: (f.namespace, f.kind == ROUTE, f.name, f.kind))
        if each.namespace not in BELAYS_OWN
    ]
    return Discovery(rows, seen.gaps)


class _Linked:
    """The services on one cluster, by what they are linked to. Two queries, whatever is found."""

    def __init__(self, actor: User, cluster: Cluster) -> None:
        self._by_place: dict[tuple[str, str, str], Service] = {}
        self._all: set[tuple[str, str, str]] = set()
        for service in Service.objects.visible_to(actor).filter(cluster=cluster).order_by("name"):
            for place in _places(service):
                self._by_place.setdefault(place, service)
        for service in Service.objects.filter(cluster=cluster):
            self._all |= set(_places(service))

    def to(self, found: Found) -> Service | None:
        return self._by_place.get((found.kind, found.namespace, found.name))

    def elsewhere(self, found: Found) -> bool:
        place = (found.kind, found.namespace, found.name)
        return place in self._all and place not in self._by_place


def _places(service: Service) -> list[tuple[str, str, str]]:
    places = []
    if service.workload:
        places.append((service.workload_kind, service.namespace, service.workload))
    if service.route:
        places.append((ROUTE, service.namespace, service.route))
    return places


def _is_system(namespace: str) -> bool:
    return namespace in _SYSTEM_NAMES or namespace.startswith(_SYSTEM)
