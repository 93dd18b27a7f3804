"""What is migrated."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from core.models import Cluster, Membership, Team, User
from migrator.choices import Tier, WorkloadKind

TAGS_MAX = 20
HOSTS_MAX = 50
_ONE_LINE = r"^[^;[:cntrl:]]+$"
"""A semicolon parts the items of one CSV cell, so no name may hold one."""
_DNS_LABEL = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$"
_DNS_NAME = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"


class ServiceQuerySet(models.QuerySet["Service"]):
    def visible_to(self, user: User) -> ServiceQuerySet:
        """Services of the person's teams; all of them for a platform owner."""
        if user.is_superuser:
            return self
        return self.filter(team__in=Membership.objects.filter(user=user).values("team"))


class Service(models.Model):
    """One service: where it runs today, where it will, and what it needs."""

    name = models.CharField(max_length=80, unique=True)
    slug = models.SlugField(max_length=80, unique=True)
    """Its address. It stays when the name changes."""
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="services")
    """Its owner: leads and engineers of this team may change it."""
    tier = models.PositiveSmallIntegerField(choices=Tier, default=Tier.THREE)
    description = models.TextField(blank=True)
    tags = ArrayField(models.CharField(max_length=40), default=list, blank=True)

    legacy_hosts = ArrayField(models.CharField(max_length=253), default=list, blank=True)
    legacy_address = models.CharField(max_length=255, blank=True)
    """Where the legacy half answers: host, host:port, or a URL."""
    legacy_capacity = models.PositiveIntegerField(null=True, blank=True)
    """What the legacy half can carry alone, in `legacy_capacity_unit`: the way back ends there."""
    legacy_capacity_unit = models.CharField(max_length=40, blank=True)
    capacity_confirmed_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    capacity_confirmed_at = models.DateTimeField(null=True, blank=True)
    """Empty where nobody vouches for the figure as it stands; a changed figure empties it."""

    cluster = models.ForeignKey(
        Cluster,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="services",
    )
    namespace = models.CharField(max_length=63, blank=True)
    workload_kind = models.CharField(max_length=12, choices=WorkloadKind, blank=True)
    workload = models.CharField(max_length=253, blank=True)
    route = models.CharField(max_length=253, blank=True)
    """Name of the HTTPProxy, in `namespace`, that carries both halves."""

    version = models.PositiveIntegerField(default=1)
    """Rises with each change, so that nobody overwrites what they have not seen."""
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = ServiceQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        # Words inside a text are found by reading all rows: the embedded PostgreSQL comes without
        # pg_trgm, and of 10,000 rows that takes a few milliseconds. Filters have their indexes.
        indexes = (
            models.Index(fields=("team", "name"), name="service_by_team"),
            models.Index(fields=("tier", "name"), name="service_by_tier"),
            models.Index(fields=("cluster", "namespace", "workload"), name="service_by_target"),
            GinIndex(fields=("tags",), name="service_by_tag"),
        )
        constraints = (
            models.UniqueConstraint(Lower("name"), name="service_name_once_in_any_case"),
            models.CheckConstraint(
                condition=Q(name__regex=_ONE_LINE), name="service_name_is_one_line"
            ),
            models.CheckConstraint(condition=Q(tier__in=Tier.values), name="service_tier_is_known"),
            models.CheckConstraint(
                condition=Q(tags__len__lte=TAGS_MAX) & Q(legacy_hosts__len__lte=HOSTS_MAX),
                name="service_lists_are_short",
            ),
            models.CheckConstraint(
                condition=Q(legacy_capacity=None, legacy_capacity_unit="")
                # Said aloud, because a comparison with nothing is not false but unknown.
                | (
                    Q(legacy_capacity__isnull=False, legacy_capacity__gt=0)
                    & ~Q(legacy_capacity_unit="")
                ),
                name="service_capacity_has_its_unit",
            ),
            models.CheckConstraint(
                condition=Q(capacity_confirmed_by=None, capacity_confirmed_at=None)
                | Q(
                    capacity_confirmed_by__isnull=False,
                    capacity_confirmed_at__isnull=False,
                    legacy_capacity__isnull=False,
                ),
                name="service_confirmation_is_signed",
            ),
            models.CheckConstraint(
                condition=Q(workload="", workload_kind="")
                | (~Q(workload="") & Q(workload_kind__in=WorkloadKind.values) & ~Q(namespace="")),
                name="service_workload_is_whole",
            ),
            models.CheckConstraint(
                condition=Q(route="") | ~Q(namespace=""), name="service_route_has_a_namespace"
            ),
            models.CheckConstraint(
                condition=Q(namespace__regex=_DNS_LABEL)
                & Q(workload__regex=_DNS_NAME)
                & Q(route__regex=_DNS_NAME),
                name="service_target_names_are_kubernetes_names",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def capacity(self) -> str:
        """The declared capacity with its unit; empty where none is declared."""
        if self.legacy_capacity is None:
            return ""
        return f"{self.legacy_capacity} {self.legacy_capacity_unit}"


class ServiceLink(models.Model):
    """Where to read more about a service: a runbook, a dashboard, the sources."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="links")
    label = models.CharField(max_length=80)
    url = models.URLField(max_length=500)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ("position",)
        constraints = (
            models.UniqueConstraint(fields=("service", "position"), name="service_link_position"),
            models.CheckConstraint(
                condition=Q(label__regex=_ONE_LINE), name="service_link_label_is_one_line"
            ),
            # A link is clicked by colleagues: never javascript:, never a file of theirs.
            models.CheckConstraint(
                condition=Q(url__regex=r"^https?://[^[:space:]]+$"), name="service_link_is_web"
            ),
        )

    def __str__(self) -> str:
        return f"{self.label} {self.url}"
