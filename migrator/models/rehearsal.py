"""Rehearsals of ways back, and what counts as one."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from core.models import User
from migrator.choices import RehearsalMark, Tier
from migrator.models.attempt import Attempt
from migrator.models.step import Step


class StepRehearsal(models.Model):
    """How the way back of one step went when it was tried."""

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="rehearsals")
    step_version = models.PositiveIntegerField()
    attempt = models.OneToOneField(Attempt, on_delete=models.PROTECT, null=True)
    """None where it was walked through."""
    mark = models.CharField(max_length=16, choices=RehearsalMark)
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    duration_s = models.PositiveIntegerField()
    """Of the way back alone."""
    succeeded = models.BooleanField()
    differences = models.JSONField(default=list)
    """Where the state afterwards differs from the one before, in lines for people."""
    notes = models.TextField(blank=True)

    class Meta:
        ordering = ("-at",)
        constraints = (
            models.CheckConstraint(
                condition=Q(mark=RehearsalMark.WALKED_THROUGH) | Q(attempt__isnull=False),
                name="rehearsal_was_done_or_walked_through",
            ),
        )

    def __str__(self) -> str:
        return f"{self.step} {self.get_mark_display().lower()}"


class RehearsalPolicy(models.Model):
    """What counts for a way back of services of one tier, and for how long."""

    tier = models.PositiveSmallIntegerField(choices=Tier, null=True)
    """None: for every tier without a policy of its own."""
    days = models.PositiveSmallIntegerField(default=30)
    real_route = models.BooleanField(default=True)
    stand_in = models.BooleanField(default=True)
    walked_through = models.BooleanField(default=False)
    capacity_days = models.PositiveSmallIntegerField(default=90)
    """For how long a person's word counts for what the legacy half can carry."""
    set_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    set_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = (F("tier").asc(nulls_first=True),)
        verbose_name_plural = "rehearsal policies"
        constraints = (
            models.UniqueConstraint(
                fields=("tier",), nulls_distinct=False, name="rehearsal_policy_once_per_tier"
            ),
            models.CheckConstraint(
                condition=Q(tier=None) | Q(tier__in=Tier.values),
                name="rehearsal_policy_tier_is_known",
            ),
            models.CheckConstraint(
                condition=Q(days__gte=1) & Q(days__lte=365), name="rehearsal_policy_days"
            ),
            models.CheckConstraint(
                condition=Q(capacity_days__gte=1) & Q(capacity_days__lte=365),
                name="rehearsal_policy_capacity_days",
            ),
        )

    def __str__(self) -> str:
        return self.get_tier_display() if self.tier else "every other tier"

    @property
    def accepted(self) -> frozenset[str]:
        return frozenset(mark for mark in RehearsalMark.values if getattr(self, mark))
