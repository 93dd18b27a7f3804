"""Making and changing services. Only leads and engineers of the owner team may."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify

from core import policies
from core.errors import Conflict, Invalid, NotFound
from migrator.choices import ServiceVerb
from migrator.models import Service, ServiceLink
from migrator.operations.service_history import difference, record
from migrator.service_fields import Value, clean_service

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from core.models import Cluster, Team, User

RESERVED_SLUGS = frozenset({"new", "names", "import", "export", "discover", "graph"})
"""Words that are addresses of pages beside those of the services."""
CAPACITY = ("legacy_capacity", "legacy_capacity_unit")


def create_service(
    *, actor: User, team: Team, cluster: Cluster | None, given: Mapping[str, str]
) -> Service:
    """Add a service to a team. `given` holds the texts of `service_fields.FIELDS`.

    Raises:
        NotFound, NotAllowed: only leads and engineers of `team` may.
        Invalid: `service_invalid`, every wrong value at once.
        Conflict: `service_exists`.
    """
    policies.require_keep_services(actor, team)
    values = clean_service(given)
    _require_cluster(actor, cluster, before=None)
    columns: dict[str, Any] = {name: v for name, v in values.items() if name != "links"}
    with transaction.atomic():
        taken = Service.objects.filter(slug__startswith=base_slug(str(values["name"])))
        slug = free_slug(str(values["name"]), set(taken.values_list("slug", flat=True)))
        try:
            with transaction.atomic():
                service = Service.objects.create(slug=slug, team=team, cluster=cluster, **columns)
        except IntegrityError:
            raise _exists(str(values["name"])) from None
        _write_links(service, values["links"])
        details = difference({}, {"team": str(team), "cluster": _name(cluster), **values})
        record(
            actor=actor,
            service=service,
            verb=ServiceVerb.CREATED,
            details={name: texts for name, texts in details.items() if texts[1]},
        )
    return service


def edit_service(
    *,
    actor: User,
    service: Service,
    version: int,
    team: Team,
    cluster: Cluster | None,
    given: Mapping[str, str],
) -> Service:
    """Change a service as a whole. `version` is the row version that the person saw.

    A capacity that is declared anew loses its confirmation: that was another figure's.

    Raises:
        NotFound, NotAllowed: only leads and engineers of its team may, and of the new one.
        Invalid: `service_invalid`, every wrong value at once.
        Conflict: `service_exists`, `edited_meanwhile`.
    """
    policies.require_keep_services(actor, service.team)
    if team.pk != service.team_id:
        policies.require_keep_services(actor, team)
    values = clean_service(given)
    with transaction.atomic():
        found = locked(service)
        if found.version != version:
            raise _edited_meanwhile()
        _require_cluster(actor, cluster, before=found.cluster)
        before = values_of(found) | {"team": str(found.team), "cluster": _name(found.cluster)}
        details = difference(before, {**values, "team": str(team), "cluster": _name(cluster)})
        if not details:
            return found
        columns: dict[str, Any] = {name: v for name, v in values.items() if name != "links"}
        _change(found, {**columns, "team": team, "cluster": cluster})
        if "links" in details:
            _write_links(found, values["links"])
        record(actor=actor, service=found, verb=ServiceVerb.EDITED, details=details)
    return found


def confirm_capacity(*, actor: User, service: Service, version: int) -> Service:
    """Vouch for the declared capacity as it stands: the legacy half can still carry it alone.

    Raises:
        NotFound, NotAllowed; Conflict `edited_meanwhile`; Invalid `no_capacity`.
    """
    policies.require_keep_services(actor, service.team)
    with transaction.atomic():
        found = locked(service)
        if found.version != version:
            raise _edited_meanwhile()
        if found.legacy_capacity is None:
            raise Invalid(
                "No capacity is declared, so there is nothing to confirm. Edit the service and "
                "say what its legacy half can carry.",
                code="no_capacity",
            )
        _change(found, {"capacity_confirmed_by": actor, "capacity_confirmed_at": timezone.now()})
        record(
            actor=actor,
            service=found,
            verb=ServiceVerb.CAPACITY_CONFIRMED,
            details={"legacy_capacity": [found.capacity, found.capacity]},
        )
    return found


def link_service(
    *,
    actor: User,
    service: Service,
    cluster: Cluster,
    namespace: str,
    workload_kind: str = "",
    workload: str = "",
    route: str = "",
) -> Service:
    """Say that a workload, or a route, that was found in a cluster is this service's.

    What is not named stays as it is, as long as it is in the same place.

    Raises:
        NotFound, NotAllowed; Invalid `service_invalid`.
        Conflict: `linked_elsewhere` where that would tear the service in two.
    """
    policies.require_keep_services(actor, service.team)
    policies.require_see(actor, cluster)
    with transaction.atomic():
        found = locked(service)
        place = (found.cluster_id, found.namespace)
        here = (cluster.pk, namespace)
        other_half = found.workload if route and not workload else found.route
        if other_half and place != here:
            raise Conflict(
                f"{found.name} has {other_half} in namespace {found.namespace or '–'} on "
                f"{_name(found.cluster) or 'no cluster'}; a service has its workload and its "
                "route in one place. Edit the service to move it.",
                code="linked_elsewhere",
            )
        given = {"namespace": namespace}
        if workload:
            given |= {"workload_kind": workload_kind, "workload": workload}
        if route:
            given["route"] = route
        before = values_of(found)
        texts = {name: str(before[name]) for name in ("namespace", "workload_kind", "workload")}
        values = clean_service({"name": found.name, **texts, "route": found.route, **given})
        target: dict[str, Any] = {
            name: values[name] for name in ("namespace", "workload_kind", "workload", "route")
        }
        details = difference(
            before | {"cluster": _name(found.cluster)}, {**target, "cluster": cluster.name}
        )
        if details:
            _change(found, target | {"cluster": cluster})
            record(actor=actor, service=found, verb=ServiceVerb.LINKED, details=details)
    return found


# -- Shared with the import -----------------------------------------------------------------------
def values_of(service: Service, links: list[tuple[str, str]] | None = None) -> dict[str, Value]:
    """The values of a service by the names of `service_fields`. `links` where they are known."""
    if links is None:
        links = [(link.label, link.url) for link in service.links.all()]
    return {
        "name": service.name,
        "tier": service.tier,
        "description": service.description,
        "links": list(links),
        "tags": list(service.tags),
        "legacy_hosts": list(service.legacy_hosts),
        "legacy_address": service.legacy_address,
        "legacy_capacity": service.legacy_capacity,
        "legacy_capacity_unit": service.legacy_capacity_unit,
        "namespace": service.namespace,
        "workload_kind": service.workload_kind,
        "workload": service.workload,
        "route": service.route,
    }


def base_slug(name: str) -> str:
    return slugify(name)[:70].strip("-") or "service"


def free_slug(name: str, taken: Container[str], numbers: dict[str, int] | None = None) -> str:
    """An address for a service that none of `taken` has and no page of ours.

    `numbers` remembers between calls how far each name was counted: ten thousand services of one
    name are then no trouble.
    """
    base = base_slug(name)
    if base not in taken and base not in RESERVED_SLUGS:
        return base
    counted = numbers if numbers is not None else {}
    for number in count(counted.get(base, 2)):
        slug = f"{base}-{number}"
        if slug not in taken:
            break
    counted[base] = number + 1
    return slug


def locked(service: Service) -> Service:
    """The row as it is now, for this transaction alone."""
    found = (
        Service.objects.select_for_update(of=("self",))
        .select_related("team", "cluster")
        .filter(pk=service.pk)
        .first()
    )
    if found is None:
        raise NotFound(f"{service.name} is not there any more.")
    return found


def _change(service: Service, values: dict[str, Any]) -> None:
    if any(name in values and values[name] != getattr(service, name) for name in CAPACITY):
        values |= {"capacity_confirmed_by": None, "capacity_confirmed_at": None}
    for name, value in values.items():
        setattr(service, name, value)
    service.version += 1
    try:
        with transaction.atomic():
            service.save(update_fields=[*values, "version", "updated_at"])
    except IntegrityError:
        raise _exists(service.name) from None


def _write_links(service: Service, links: Any) -> None:
    service.links.all().delete()
    ServiceLink.objects.bulk_create(
        ServiceLink(service=service, label=label, url=url, position=position)
        for position, (label, url) in enumerate(links)
    )


def _require_cluster(actor: User, cluster: Cluster | None, *, before: Cluster | None) -> None:
    """A new target has to be seen by who names it, and to be there."""
    if cluster is None or cluster == before:
        return
    policies.require_see(actor, cluster)
    if cluster.retired_at is not None:
        raise Invalid(
            f"{cluster.name} was retired: nothing can move there. Choose another cluster.",
            code="service_invalid",
            field="cluster",
        )


def _name(cluster: Cluster | None) -> str:
    return cluster.name if cluster else ""


def _exists(name: str) -> Conflict:
    return Conflict(
        f"There is a service “{name}” already, perhaps of another team. Choose another name.",
        code="service_exists",
        field="name",
    )


def _edited_meanwhile() -> Conflict:
    return Conflict(
        "Somebody else changed this service meanwhile. Look at it as it is now, and change it "
        "again.",
        code="edited_meanwhile",
    )
