"""Probes: what is looked at, as data."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from core.models import Cluster
from gamedays.choices import ProbeKind


class Probe(models.Model):
    """One thing that is looked at every second while a fault runs, each time afresh."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="probes")
    key = models.SlugField(max_length=60)
    """Stable name: symptoms of findings refer to it."""
    title = models.CharField(max_length=120)
    kind = models.CharField(max_length=20, choices=ProbeKind)
    target = models.CharField(max_length=253, blank=True)
    """Node name where the probe looks at one node; empty for the whole cluster."""
    parameters = models.JSONField(default=dict, blank=True)
    """By kind; for `http`: url, host, status. The prober validates it."""
    attempts = models.PositiveSmallIntegerField(default=1)
    """Fresh connections per sample, 1..5."""
    timeout_s = models.FloatField(default=1.5)
    felt_by_users = models.BooleanField(default=False)
    """A cluster without a probe that a user would feel cannot give the verdict *held*."""
    enabled = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ("position", "key")
        constraints = (
            models.UniqueConstraint(fields=("cluster", "key"), name="probe_key_in_cluster"),
            models.CheckConstraint(
                condition=Q(attempts__gte=1, attempts__lte=5), name="probe_attempts_in_bounds"
            ),
            models.CheckConstraint(
                condition=Q(timeout_s__gte=0.2, timeout_s__lte=5), name="probe_timeout_in_bounds"
            ),
        )

    def __str__(self) -> str:
        return self.title
