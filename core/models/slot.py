"""The slot: one live fault or one running migration step per cluster, never two things."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from core.choices import SlotKind
from core.models.cluster import Cluster


class SlotClaim(models.Model):
    """Who holds a cluster now. It has no expiry: only a proved clean state, or a named person,
    releases it. Time never does, because time proves nothing about the cluster."""

    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="slot_claims")
    kind = models.CharField(max_length=10, choices=SlotKind)
    holder = models.UUIDField()
    taken_at = models.DateTimeField(auto_now_add=True)
    released_at = models.DateTimeField(null=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("cluster",),
                condition=Q(released_at__isnull=True),
                name="slot_one_holder_per_cluster",
            ),
        )

    def __str__(self) -> str:
        return f"{self.cluster}: {self.kind} {self.holder}"
