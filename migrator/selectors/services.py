"""Reads of services: the list with its search and filters, and one with all that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.db.models import Case, Count, Exists, F, Func, OuterRef, Q, TextField, Value, When
from django.db.models.functions import Concat

from core import policies
from core.errors import NotFound
from core.models import Cluster, Team
from core.selectors import current_stop
from migrator.choices import Health, Standing, Tier
from migrator.models import Dependency, Service, ServiceChange

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import QuerySet

    from core.models import User

LACKS: Final[dict[str, tuple[str, Q]]] = {
    "legacy": ("a legacy address", Q(legacy_address="")),
    "capacity": ("a declared capacity", Q(legacy_capacity=None)),
    "confirmation": (
        "somebody who vouches for its capacity",
        Q(legacy_capacity__isnull=False, capacity_confirmed_at=None),
    ),
    "cluster": ("a cluster", Q(cluster=None)),
    "workload": ("a workload", Q(workload="")),
    "route": ("a route", Q(route="")),
}
"""What a service can still lack before its first step, in words, and how that is asked for."""
NO_CLUSTER = NO_WAVE = "none"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a person looks for among the services. Empty means: whatever."""

    text: str = ""
    team: str = ""
    tier: str = ""
    cluster: str = ""
    """A cluster's slug; `none` for services that have no cluster yet."""
    tag: str = ""
    lacks: str = ""
    """A key of `LACKS`, or `nothing` for services that lack none of it."""
    stage: str = ""
    health: str = ""
    wave: str = ""
    """A wave's id; `none` for services that are in no wave."""

    @property
    def anything(self) -> bool:
        return any(vars(self).values())


def services(user: User, wanted: Wanted | None = None) -> QuerySet[Service]:
    """Services that the person may see, by name."""
    found = (
        Service.objects.visible_to(user)
        .select_related("team", "cluster", "standing")
        .order_by("name")
    )
    return found if wanted is None else _narrowed(found, wanted)


def _narrowed(found: QuerySet[Service], wanted: Wanted) -> QuerySet[Service]:
    # Each word has to be somewhere: "shop hh-12" finds the shop on that machine.
    for word in wanted.text.split()[:8]:
        found = found.alias(
            lists=Concat(
                _joined("tags"), Value(" "), _joined("legacy_hosts"), output_field=TextField()
            )
        ).filter(
            Q(name__icontains=word)
            | Q(description__icontains=word)
            | Q(legacy_address__icontains=word)
            | Q(namespace__icontains=word)
            | Q(workload__icontains=word)
            | Q(route__icontains=word)
            | Q(lists__icontains=word)
        )
    if wanted.team:
        found = found.filter(team__slug=wanted.team)
    if wanted.tier:
        known = wanted.tier in {str(value) for value in Tier.values}
        found = found.filter(tier=int(wanted.tier)) if known else found.none()
    if wanted.cluster == NO_CLUSTER:
        found = found.filter(cluster=None)
    elif wanted.cluster:
        found = found.filter(cluster__slug=wanted.cluster)
    if wanted.tag:
        found = found.filter(tags__contains=[wanted.tag])
    if wanted.lacks == "nothing":
        for _words, lack in LACKS.values():
            found = found.exclude(lack)
    elif wanted.lacks:
        found = found.filter(LACKS[wanted.lacks][1]) if wanted.lacks in LACKS else found.none()
    return _on_their_way(found, wanted)


def _on_their_way(found: QuerySet[Service], wanted: Wanted) -> QuerySet[Service]:
    """By how far they have come, how they fare, and when they are to move."""
    if wanted.stage:
        known = wanted.stage in Standing.values
        found = found.filter(standing__stage=wanted.stage) if known else found.none()
    if wanted.health:
        known = wanted.health in Health.values
        found = _of_health(found, wanted.health) if known else found.none()
    if wanted.wave == NO_WAVE:
        found = found.filter(in_wave=None)
    elif wanted.wave:
        number = wanted.wave if wanted.wave.isascii() and wanted.wave.isdecimal() else "0"
        found = found.filter(in_wave__wave=int(number[:9]))
    return found


def health_now() -> Case | F:
    """A service's health, as of now: an emergency stop holds whatever has a step ahead.

    One query, and an expression for others.
    """
    if current_stop() is None:
        return F("standing__health")
    held = Q(standing__health__in=(Health.ON_TRACK, Health.LATE), standing__step__isnull=False)
    return Case(When(held, then=Value(Health.BLOCKED)), default=F("standing__health"))


def _of_health(found: QuerySet[Service], health: str) -> QuerySet[Service]:
    return found.alias(fares=health_now()).filter(fares=health)


def _joined(name: str) -> Func:
    return Func(F(name), Value(" "), function="array_to_string", output_field=TextField())


def lacks_of(service: Service) -> list[str]:
    """What this one lacks before its first step, in words."""
    missing = []
    if not service.legacy_address:
        missing.append("legacy")
    if service.legacy_capacity is None:
        missing.append("capacity")
    elif service.capacity_confirmed_at is None:
        missing.append("confirmation")
    if service.cluster_id is None:
        missing.append("cluster")
    missing += [name for name in ("workload", "route") if not getattr(service, name)]
    return [LACKS[name][0] for name in missing]


def service_named(user: User, slug: str) -> Service:
    """The service of that slug. Raises `NotFound`, to outsiders too."""
    found = (
        services(user)
        .select_related("capacity_confirmed_by")
        .prefetch_related("links")
        .filter(slug=slug)
        .first()
    )
    if found is None:
        raise NotFound(f"There is no service {slug!r} among those that you may see.")
    return found


def teams_with_services(user: User) -> list[Team]:
    """For the filter: teams that have a service which the person may see."""
    theirs = Service.objects.visible_to(user).filter(team=OuterRef("pk"))
    return list(Team.objects.filter(Exists(theirs)).order_by("name"))


def clusters_with_services(user: User) -> list[Cluster]:
    """For the filter: clusters that such a service stands on. The name of one is told even where
    its page is not."""
    theirs = Service.objects.visible_to(user).filter(cluster=OuterRef("pk"))
    return list(Cluster.objects.filter(Exists(theirs)).order_by("name"))


def clusters_to_choose(user: User) -> QuerySet[Cluster]:
    """Where the person may say that a service goes."""
    return Cluster.objects.visible_to(user).active().order_by("name")


def tags_in_use(user: User, most: int = 60) -> list[str]:
    """The tags that most services have, in alphabetical order."""
    tags = (
        Service.objects.visible_to(user)
        .annotate(tag=Func(F("tags"), function="unnest", output_field=TextField()))
        .values("tag")
        .annotate(number=Count("pk"))
        .order_by("-number", "tag")[:most]
    )
    return sorted(row["tag"] for row in tags)


def history(service: Service, most: int = 30) -> list[ServiceChange]:
    """What was done to it, the newest first."""
    return list(service.changes.select_related("by")[:most])


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A service that another needs, or is needed by. Its name is told, its page only to who may
    see it."""

    service: Service
    visible: bool


def needs_of(user: User, service: Service) -> list[Neighbour]:
    return _neighbours(
        user, [edge.needs for edge in _edges().filter(service=service).order_by("needs__name")]
    )


def needed_by(service: Service) -> QuerySet[Dependency]:
    """By whom, in the order of their names: of a service that all others need, very many."""
    return _edges().filter(needs=service).order_by("service__name", "pk")


def who_needs(user: User, edges: Iterable[Dependency]) -> list[Neighbour]:
    """Those of some of `needed_by`."""
    return _neighbours(user, [edge.service for edge in edges])


def _edges() -> QuerySet[Dependency]:
    return Dependency.objects.select_related("needs__team", "service__team")


def _neighbours(user: User, found: list[Service]) -> list[Neighbour]:
    seen = set(
        Service.objects.visible_to(user)
        .filter(pk__in=[each.pk for each in found])
        .values_list("pk", flat=True)
    )
    return [Neighbour(each, each.pk in seen) for each in found]


def may_see_cluster(user: User, service: Service) -> bool:
    """A service may stand on another team's cluster: its name is told, its page is not."""
    return service.cluster is not None and policies.may_see(user, service.cluster)


def called(user: User, name: str) -> Service | None:
    """The visible service of exactly that name, or else in whatever case."""
    name = " ".join(name.split())
    found = list(services(user).filter(name__iexact=name)[:2])
    return next((each for each in found if each.name == name), found[0] if found else None)


def like(user: User, text: str, most: int = 50) -> list[str]:
    """Names to offer while somebody types."""
    found = services(user).filter(name__icontains=text.strip()) if text.strip() else services(user)
    return list(found.values_list("name", flat=True)[:most])


def focused(user: User, asked: str) -> Service | None:
    """The service of that slug, or of that name as somebody types it."""
    return services(user).filter(slug=asked).first() or called(user, asked)
