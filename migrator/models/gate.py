"""What holds steps back for a time, and who answers for going ahead all the same."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from core.models import Cluster, User
from migrator.models.plan import Plan
from migrator.models.step import Step


class FreezeWindow(models.Model):
    """No step goes forward on the cluster in this time; ways back may."""

    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="freezes")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    why = models.CharField(max_length=300)
    declared_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    declared_at = models.DateTimeField(auto_now_add=True)
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ("starts_at",)
        constraints = (
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")), name="freeze_ends_after_it_starts"
            ),
            models.CheckConstraint(condition=~Q(why=""), name="freeze_says_why"),
        )

    def __str__(self) -> str:
        return f"{self.cluster}: {self.why}"


class Override(models.Model):
    """One gate, passed over for one step: signed, with a reason, for a time. Never deleted."""

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="overrides")
    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="overrides")
    code = models.SlugField(max_length=60)
    """The gate's stable code."""
    subject = models.CharField(max_length=80, blank=True)
    """Which of several reasons of that code, such as one finding; never those that come later."""
    reason = models.TextField()
    signed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    signed_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ("-signed_at",)
        constraints = (
            models.CheckConstraint(condition=~Q(reason=""), name="override_has_reason"),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("signed_at")), name="override_expires"
            ),
        )

    def __str__(self) -> str:
        return f"{self.code} on {self.step}"
