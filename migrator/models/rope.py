"""Whether the original state is within reach, as it was last looked at; and where to look."""

from __future__ import annotations

from django.db import models

from core.models import Cluster, User
from migrator.models.plan import Plan


class RopeCheck(models.Model):
    """One look at the way back of a plan. `within_reach` is null where we could not look."""

    plan = models.ForeignKey(
        Plan, on_delete=models.CASCADE, related_name="rope_checks", db_index=False
    )
    at = models.DateTimeField()
    within_reach = models.BooleanField(null=True)
    lines = models.JSONField(default=list)
    """`{"name", "passed", "sentence"}` for everything that was looked at."""
    asked_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    """None where the clock asked."""

    class Meta:
        ordering = ("-at", "-id")
        # The newest look at one rope, and its foreign key's, too.
        indexes = (models.Index(fields=("plan", "-at", "-id"), name="rope_check_newest"),)

    def __str__(self) -> str:
        return f"{self.plan} at {self.at}"

    @property
    def why(self) -> str:
        """The first thing that was not there, or could not be looked at."""
        for line in self.lines:
            if line.get("passed") is not True:
                return str(line.get("sentence", ""))
        return "it could not be looked at."


class EnvoyListeners(models.Model):
    """Where the Envoys of a cluster tell their own figures: every one of them, or shares lie."""

    cluster = models.OneToOneField(
        Cluster, on_delete=models.CASCADE, primary_key=True, related_name="envoy_listeners"
    )
    urls = models.JSONField(default=list)
    set_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    set_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"Envoys of {self.cluster}"
