"""Undo rehearsals: was the way back tried on a node, with a harmless drill, and when."""

from __future__ import annotations

from django.db import models

from core.models import Cluster
from gamedays.models.injection import Injection


class UndoRehearsal(models.Model):
    """One drill on one node: armed, injected, left alone, and undone by the guard itself."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="rehearsals")
    node = models.CharField(max_length=253)
    injection = models.ForeignKey(Injection, on_delete=models.CASCADE, related_name="rehearsals")
    """The run that asked for it, before its fault."""
    at = models.DateTimeField()
    succeeded = models.BooleanField()
    detail = models.TextField(blank=True)
    """Why it did not succeed, in a sentence; or how long the guard waited."""

    class Meta:
        ordering = ("-at", "-id")
        indexes = (models.Index(fields=("cluster", "node", "-at"), name="rehearsal_newest"),)

    def __str__(self) -> str:
        return f"{self.node}: {'succeeded' if self.succeeded else 'failed'}"
