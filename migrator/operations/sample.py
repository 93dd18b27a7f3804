"""The services of the practice shop, so that a first look shows something true."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.db import transaction

from migrator.choices import Tier, WorkloadKind
from migrator.models import Dependency, Service

if TYPE_CHECKING:
    from core.models import Cluster, Team

_SERVICES: tuple[tuple[str, Tier, str, list[str]], ...] = (
    (
        "Shop",
        Tier.ONE,
        "Takes orders. Most of its requests still go to the legacy machine.",
        ["web", "orders"],
    ),
    ("Prices", Tier.TWO, "Tells the shop what things cost.", ["web"]),
    ("Vouchers", Tier.THREE, "Takes something off the price for who has a voucher.", ["web"]),
)
"""As the practice range raises them; each is a Deployment and a route of its own name."""
_NEEDS = (("shop", "prices"), ("shop", "vouchers"), ("vouchers", "prices"))
_NAMESPACE = "shop"
_CAPACITY: dict[str, Any] = {"legacy_capacity": 200, "legacy_capacity_unit": "requests/s"}
"""Declared, and confirmed by nobody: that is for a person to do."""


@transaction.atomic
def load_sample_services(*, team: Team) -> None:
    """Make the services of the practice shop; safe to do twice."""
    made = {}
    for name, tier, description, tags in _SERVICES:
        slug = name.lower()
        values: dict[str, Any] = {
            "name": name,
            "team": team,
            "tier": tier,
            "description": description,
            "tags": sorted(tags),
            "namespace": _NAMESPACE,
            "workload_kind": WorkloadKind.DEPLOYMENT,
            "workload": slug,
            "route": slug,
        }
        if slug == "shop":
            values |= _CAPACITY
        made[slug], _ = Service.objects.get_or_create(slug=slug, defaults=values)
    for service, needs in _NEEDS:
        Dependency.objects.get_or_create(service=made[service], needs=made[needs])


def link_sample_services(*, cluster: Cluster, legacy_address: str) -> None:
    """Say where the sample services run, once their cluster is there."""
    ours = Service.objects.filter(cluster__isnull=True)
    host = urlsplit(legacy_address).hostname
    ours.filter(slug="shop").update(
        cluster=cluster,
        namespace=_NAMESPACE,
        legacy_address=legacy_address,
        legacy_hosts=[host] if host else [],
    )
    ours.filter(slug__in=[name.lower() for name, *_rest in _SERVICES]).update(cluster=cluster)
