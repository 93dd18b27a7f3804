"""Rehearsals of ways back, and what counts as one."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from core.models import User
from migrator.choices import RehearsalMark
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
    """Which rehearsals count for services of one tier, and for how long."""

    tier = models.CharField(max_length=40, unique=True, blank=True)
    """Empty: for every tier without a policy of its own."""
    days = models.PositiveSmallIntegerField(default=30)
    real_route = models.BooleanField(default=True)
    stand_in = models.BooleanField(default=True)
    walked_through = models.BooleanField(default=False)
    set_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    set_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("tier",)
        verbose_name_plural = "rehearsal policies"
        constraints = (
            models.CheckConstraint(
                condition=Q(days__gte=1) & Q(days__lte=365), name="rehearsal_policy_days"
            ),
        )

    def __str__(self) -> str:
        return self.tier or "every other tier"

    @property
    def accepted(self) -> frozenset[str]:
        return frozenset(mark for mark in RehearsalMark.values if getattr(self, mark))
