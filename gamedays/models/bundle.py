"""Break-glass bundles that were made: never their keys, only what tells how good they still are."""

from __future__ import annotations

from django.db import models

from core.models import Cluster, User


class BreakGlassBundle(models.Model):
    """One file that `belay panic` can undo a cluster's faults with."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="bundles")
    made_at = models.DateTimeField(auto_now_add=True)
    made_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField(max_length=64)
    """Of the file: by it a drill knows which of them it is about."""
    guards = models.JSONField(default=dict)
    """Node → address, port and the pin's SHA-256. One that differs now is out of date."""
    drilled_at = models.DateTimeField(null=True)
    drilled_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    drill_passed = models.BooleanField(null=True)
    drill_said = models.TextField(blank=True)
    """What `belay panic` printed in the last drill."""

    class Meta:
        ordering = ("-made_at",)

    def __str__(self) -> str:
        return f"bundle of {self.cluster}, {self.made_at:%Y-%m-%d}"
