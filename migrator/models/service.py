"""What is migrated."""

from __future__ import annotations

from django.db import models

from core.models import Cluster, Team, User


class ServiceQuerySet(models.QuerySet["Service"]):
    def visible_to(self, user: User) -> ServiceQuerySet:
        if user.is_superuser:
            return self
        return self.filter(team__memberships__user=user).distinct()


class Service(models.Model):
    """One service: where it runs today, and where it will."""

    name = models.CharField(max_length=80, unique=True)
    slug = models.SlugField(max_length=80, unique=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="services")
    description = models.TextField(blank=True)
    legacy_address = models.CharField(max_length=255, blank=True)
    cluster = models.ForeignKey(
        Cluster,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="services",
    )
    namespace = models.CharField(max_length=63, blank=True)
    workload = models.CharField(max_length=253, blank=True)
    route = models.CharField(max_length=253, blank=True)
    """Name of the HTTPProxy that carries both halves."""

    objects = ServiceQuerySet.as_manager()

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
