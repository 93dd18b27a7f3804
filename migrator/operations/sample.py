"""The services of the practice shop, so that a first look shows something true; and two beside it
that only stand for others, so that the board has more than one column and the waves are two."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.db import transaction
from django.utils import timezone

from core.choices import Role
from core.models import User
from migrator.choices import Tier, WorkloadKind
from migrator.models import Dependency, Plan, PlanTemplate, Service, Wave
from migrator.operations.plans import create_plan
from migrator.operations.standings import refresh_services
from migrator.operations.steps import skip_step
from migrator.operations.waves import create_wave, put_in_wave

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
_BESIDE: tuple[tuple[str, Tier, str, list[str], str], ...] = (
    (
        "Invoices",
        Tier.TWO,
        "Stands for a service with data of its own; the practice range does not run it.",
        ["data"],
        "stateful-manual",
    ),
    (
        "Mailer",
        Tier.THREE,
        "Stands for a worker behind a queue; the practice range does not run it.",
        ["worker"],
        "worker",
    ),
)
"""Each with the template that it is planned by once there is a cluster."""
_WAVES: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("Wave 1: the shop", 0, 4, ("shop",)),
    ("Wave 2: behind the shop", 3, 8, ("invoices", "mailer")),
)
"""Name, first and last week from now, services."""
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
    for name, tier, description, tags, _template in _BESIDE:
        beside = {"name": name, "team": team, "tier": tier, "description": description}
        Service.objects.get_or_create(slug=name.lower(), defaults=beside | {"tags": tags})
    _plan_waves(team)
    _look_at_ours()


def _look_at_ours() -> None:
    """For the first look; of all others a worker looks at what was marked."""
    slugs = [row[0].lower() for row in _SERVICES] + [row[0].lower() for row in _BESIDE]
    refresh_services(Service.objects.filter(slug__in=slugs).values_list("pk", flat=True))


def _plan_waves(team: Team) -> None:
    """Where the team has none yet: what people made of them stays."""
    lead = _lead_of(team)
    if lead is None or Wave.objects.filter(team=team).exists():
        return
    monday = timezone.localdate()
    monday -= dt.timedelta(days=monday.weekday())
    for name, first, last, slugs in _WAVES:
        wave = create_wave(
            actor=lead,
            team=team,
            name=name,
            starts_on=monday + dt.timedelta(weeks=first),
            ends_on=monday + dt.timedelta(weeks=last, days=4),
        )
        services = list(Service.objects.filter(slug__in=slugs, team=team, in_wave=None))
        if services:
            put_in_wave(actor=lead, wave=wave, version=wave.version, services=services)


def _lead_of(team: Team) -> User | None:
    leads = User.objects.filter(memberships__team=team, memberships__role=Role.LEAD)
    return leads.order_by("pk").first()


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
    _plan_those_beside(cluster)
    _look_at_ours()


def _plan_those_beside(cluster: Cluster) -> None:
    """A plan for each, of its template, where it never had one."""
    lead = _lead_of(cluster.team)
    if lead is None:
        return
    for name, _tier, _description, _tags, slug in _BESIDE:
        service = Service.objects.filter(slug=name.lower(), team=cluster.team).first()
        template = PlanTemplate.objects.filter(slug=slug).first()
        if service is None or template is None or Plan.objects.filter(service=service).exists():
            continue
        plan = create_plan(
            actor=lead, service=service, cluster=cluster, template=template.versions.first()
        )
        first = plan.steps.order_by("position").first()
        if slug == "worker" and first is not None:
            skip_step(actor=lead, step=first, reason="It was deployed before Belay came.")
