"""An attempt at a step, or at its way back, and the lease of whoever conducts it."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from core.models import Cluster, User
from migrator.choices import FINAL, MAY_GO_BACK, AttemptState, Direction
from migrator.models.plan import Plan
from migrator.models.step import Step

_FINAL_STATES = sorted(FINAL)


class AttemptQuerySet(models.QuerySet["Attempt"]):
    def live(self) -> AttemptQuerySet:
        return self.exclude(state__in=_FINAL_STATES)


class Retreat(models.Model):
    """“Back to here”: ways back in reverse order, one after the other, until one fails."""

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="retreats")
    down_to = models.PositiveSmallIntegerField()
    """Steps at this position and later are rolled back; 0 is the original state."""
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    reason = models.CharField(max_length=300, blank=True)
    ended_at = models.DateTimeField(null=True)
    stopped_because = models.TextField(blank=True)
    """Empty where everything came back."""

    class Meta:
        ordering = ("-asked_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("plan",), condition=Q(ended_at__isnull=True), name="retreat_one_per_plan"
            ),
        )

    def __str__(self) -> str:
        return f"{self.plan}: back to {self.down_to}"


class Attempt(models.Model):
    """One try. What it does was copied from the step when it began: later edits change nothing."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="attempts")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="attempts")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="step_attempts")
    direction = models.CharField(max_length=10, choices=Direction)
    of = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="ways_back")
    """With `back`: the attempt that is undone."""
    retreat = models.ForeignKey(
        Retreat, on_delete=models.PROTECT, null=True, related_name="attempts"
    )
    step_version = models.PositiveIntegerField()
    kind = models.SlugField(max_length=30)
    parameters = models.JSONField(default=dict)
    check_kind = models.SlugField(max_length=30, default="none")
    check_parameters = models.JSONField(default=dict)
    back_check_kind = models.SlugField(max_length=30, default="none")
    back_check_parameters = models.JSONField(default=dict)
    """What has to be true once it is undone."""
    state = models.CharField(
        max_length=20, choices=AttemptState, default=AttemptState.PLANNED, db_index=True
    )
    reason = models.TextField(blank=True)
    """Why it was refused, goes back, waits or is stuck, and what to do; a sentence for people."""
    before = models.JSONField(default=dict)
    """How it was: committed before the change, and all that the way back needs."""
    diff = models.JSONField(default=list)
    """What the change does, in lines for people; written with `before`."""
    memory = models.JSONField(default=dict)
    """What the runner has to remember between two looks, such as the figures at the beginning."""
    seen = models.JSONField(default=dict)
    """The newest look: sentence and figures."""
    exposes = models.BooleanField(default=False)
    """While this stands, users meet something that was not accepted yet: without a conductor the
    watchdog takes it back."""
    due_at = models.DateTimeField()
    """When somebody has to look again, where nobody holds the lease."""
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    prepared_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(null=True)
    back_asked_at = models.DateTimeField(null=True)
    back_asked_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    returning_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects = AttemptQuerySet.as_manager()

    class Meta:
        ordering = ("-asked_at",)
        constraints = (
            # Two people who start the same step, or two steps of one plan: the database decides.
            models.UniqueConstraint(
                fields=("plan",),
                condition=~Q(state__in=_FINAL_STATES),
                name="attempt_one_live_per_plan",
            ),
        )

    def __str__(self) -> str:
        return f"{self.get_direction_display()}: {self.step}"

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def offers_return(self) -> bool:
        """Whether pages offer to turn it round."""
        forward = self.direction != Direction.BACK
        return forward and self.state in MAY_GO_BACK and self.back_asked_at is None


class StepLease(models.Model):
    """Is somebody conducting? As with faults, its expiry means *undo*, and it holds no time."""

    attempt = models.OneToOneField(
        Attempt, on_delete=models.CASCADE, primary_key=True, related_name="lease"
    )
    fence = models.PositiveIntegerField(default=0)
    holder = models.CharField(max_length=120, blank=True)
    renewals = models.PositiveBigIntegerField(default=0)
    held = models.BooleanField(default=False)
    """False between two looks: whoever comes next may take it."""
    given_up = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.attempt_id}: {self.fence} {self.holder}"


class Tick(models.Model):
    """Who ticked which item of a checklist, in one attempt."""

    attempt = models.ForeignKey(Attempt, on_delete=models.CASCADE, related_name="ticks")
    part = models.CharField(max_length=8, default="do")
    """`do` while the step is done, `back` while it is undone, `check` for a confirmation."""
    item = models.PositiveSmallIntegerField()
    ticked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    ticked_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("part", "item")
        constraints = (
            models.UniqueConstraint(fields=("attempt", "part", "item"), name="tick_once"),
        )

    def __str__(self) -> str:
        return f"{self.part} {self.item} by {self.ticked_by}"
