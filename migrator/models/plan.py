"""Plans: how one service goes to one stage, and what happened on the way."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from core.choices import Stage
from core.models import Cluster, Team, User
from migrator.choices import EntryKind
from migrator.models.service import Service
from migrator.models.template import TemplateVersion


class PlanQuerySet(models.QuerySet["Plan"]):
    def visible_to(self, user: User) -> PlanQuerySet:
        """Plans of services of the person's teams; all of them for a platform owner."""
        if user.is_superuser:
            return self
        return self.filter(service__team__in=Team.objects.filter(memberships__user=user))

    def current(self) -> PlanQuerySet:
        return self.filter(archived_at__isnull=True)


class Plan(models.Model):
    """A service's way to one cluster, in steps. At most one per service and stage is current."""

    service = models.ForeignKey(Service, on_delete=models.PROTECT, related_name="plans")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="plans")
    stage = models.CharField(max_length=10, choices=Stage)
    """Its cluster's, held equal by a composite foreign key (migration 0007)."""
    title = models.CharField(max_length=120)
    made_from = models.ForeignKey(
        TemplateVersion, on_delete=models.PROTECT, null=True, related_name="plans"
    )
    cloned_from = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, related_name="clones"
    )
    made_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, editable=False)
    version = models.PositiveIntegerField(default=1)
    """Raised by every change of its steps: a page that was open too long is told."""

    objects = PlanQuerySet.as_manager()

    class Meta:
        ordering = ("service__name", "-stage")
        constraints = (
            models.UniqueConstraint(
                fields=("service", "stage"),
                condition=Q(archived_at__isnull=True),
                name="plan_one_per_service_and_stage",
            ),
        )

    def __str__(self) -> str:
        return self.title


class HistoryEntry(models.Model):
    """One thing that happened to a plan: every verb of a person, every move of the engine.

    Rows are only added: this is the plan's audit and its timeline.
    """

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="history", db_index=False)
    step = models.ForeignKey("Step", on_delete=models.SET_NULL, null=True, related_name="history")
    attempt = models.ForeignKey(
        "Attempt", on_delete=models.SET_NULL, null=True, related_name="history"
    )
    at = models.DateTimeField()
    kind = models.CharField(max_length=10, choices=EntryKind)
    text = models.TextField()
    data = models.JSONField(default=dict)
    actor = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ("at", "id")
        # Pages show the newest of one plan, however long its past; this is its foreign key's, too.
        indexes = (models.Index(fields=("plan", "-at", "-id"), name="plan_history_newest"),)

    def __str__(self) -> str:
        return self.text
