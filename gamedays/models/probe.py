"""Probes: what is looked at, as data, and where a cluster's metrics are asked for."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from core.models import Cluster
from gamedays.choices import MustHold, ProbeKind


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
    """By kind, as `gamedays.probes.registry.KINDS` lists and validates them."""
    attempts = models.PositiveSmallIntegerField(default=1)
    """Fresh connections per sample, 1..5."""
    timeout_s = models.FloatField(default=1.5)
    felt_by_users = models.BooleanField(default=False)
    """A cluster without a probe that a user would feel cannot give the verdict *held*."""
    must_hold = models.CharField(max_length=12, choices=MustHold, default=MustHold.SCENARIO)
    abort_after_s = models.PositiveSmallIntegerField(null=True, blank=True)
    """A fault is aborted when this fails for so many seconds in a row; null: never for this."""
    enabled = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)
    version = models.PositiveIntegerField(default=1)
    """Rises with each change, so that nobody overwrites what they have not seen."""

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
            models.CheckConstraint(
                condition=Q(abort_after_s=None) | Q(abort_after_s__gte=3, abort_after_s__lte=600),
                name="probe_abort_after_in_bounds",
            ),
        )

    def __str__(self) -> str:
        return self.title


class MetricsSource(models.Model):
    """The Prometheus that knows a cluster: its address, and a token where it asks for one."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="metrics_source")
    url = models.URLField(max_length=255)
    """Where its API begins: `/api/v1/query` is put behind it."""
    ca_pem = models.TextField(blank=True)
    """The CA of an https address; empty: the authorities that Belay's machine trusts."""
    token_encrypted = models.TextField(blank=True)
    """A bearer token, encrypted as the cluster's own is; empty: none is sent."""
    updated_at = models.DateTimeField(auto_now=True)
    updated_by = models.ForeignKey(
        "core.User", on_delete=models.SET_NULL, null=True, related_name="+"
    )

    def __str__(self) -> str:
        return f"{self.cluster}: {self.url}"
