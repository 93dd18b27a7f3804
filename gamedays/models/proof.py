"""What has to have been proved on a cluster before migration steps go ahead."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from core.models import Cluster, User


class RequiredProof(models.Model):
    """A scenario that has to have held on a QA cluster, not longer ago than so many weeks."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="required_proofs")
    scenario_key = models.SlugField(max_length=60)
    weeks = models.PositiveSmallIntegerField()
    set_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("scenario_key",)
        constraints = (
            models.UniqueConstraint(
                fields=("cluster", "scenario_key"), name="required_proof_once_per_scenario"
            ),
            models.CheckConstraint(
                condition=Q(weeks__gte=1) & Q(weeks__lte=52), name="required_proof_weeks"
            ),
        )

    def __str__(self) -> str:
        return f"{self.scenario_key} on {self.cluster}, {self.weeks} weeks"
