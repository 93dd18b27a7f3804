"""A step of a plan, its way back, and who signed for what."""

from __future__ import annotations

from django.db import models
from django.db.models import Deferrable, Q

from core.models import User
from migrator.choices import Reversibility, StepState
from migrator.models.plan import Plan


class Step(models.Model):
    """One small move. What it does is its runner's (`kind`) with these parameters."""

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="steps")
    key = models.SlugField(max_length=60)
    """The same in the plan of the other stage: what one proved is found by it."""
    position = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=120)
    kind = models.SlugField(max_length=30)
    parameters = models.JSONField(default=dict)
    check_kind = models.SlugField(max_length=30, default="none")
    check_parameters = models.JSONField(default=dict)
    """What has to be true besides what the runner itself judges."""
    expected_s = models.PositiveIntegerField(default=60)
    reversibility = models.CharField(
        max_length=12, choices=Reversibility, default=Reversibility.REVERSIBLE
    )
    reversible_days = models.PositiveSmallIntegerField(null=True)
    """With `until`: for so many days after it was done."""
    why_one_way = models.CharField(max_length=300, blank=True)
    state = models.CharField(max_length=12, choices=StepState, default=StepState.WAITING)
    state_since = models.DateTimeField(null=True)
    skip_reason = models.CharField(max_length=300, blank=True)
    version = models.PositiveIntegerField(default=1)
    """Raised whenever what is done, or undone, changes: sign-offs and rehearsals are of one."""

    class Meta:
        ordering = ("plan", "position")
        constraints = (
            models.UniqueConstraint(
                fields=("plan", "position"),
                name="step_one_per_position",
                deferrable=Deferrable.DEFERRED,
            ),
            models.UniqueConstraint(fields=("plan", "key"), name="step_key_in_plan"),
            models.CheckConstraint(
                condition=~Q(state=StepState.SKIPPED) | ~Q(skip_reason=""),
                name="step_skipped_with_reason",
            ),
            models.CheckConstraint(
                condition=~Q(reversibility=Reversibility.UNTIL) | Q(reversible_days__gt=0),
                name="step_reversible_for_days",
            ),
            models.CheckConstraint(
                condition=~Q(reversibility=Reversibility.ONE_WAY) | ~Q(why_one_way=""),
                name="step_one_way_with_reason",
            ),
        )

    def __str__(self) -> str:
        return self.title


class RollbackPlan(models.Model):
    """The way back of one step. Without it the step cannot start (migration 0007)."""

    step = models.OneToOneField(Step, on_delete=models.CASCADE, related_name="rollback")
    kind = models.SlugField(max_length=30)
    """`restore`: what the step itself wrote down; else a runner's, as of a step."""
    parameters = models.JSONField(default=dict)
    check_kind = models.SlugField(max_length=30, default="none")
    check_parameters = models.JSONField(default=dict)
    expected_s = models.PositiveIntegerField(default=60)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    """Who is asked when it does not work."""

    def __str__(self) -> str:
        return f"way back of {self.step}"


class SignOff(models.Model):
    """A second person's signature under a one-way step, as the step was then."""

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="sign_offs")
    step_version = models.PositiveIntegerField()
    signed_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    signed_at = models.DateTimeField(auto_now_add=True)
    reason = models.TextField()

    class Meta:
        ordering = ("-signed_at",)
        constraints = (
            models.CheckConstraint(condition=~Q(reason=""), name="sign_off_has_reason"),
            models.UniqueConstraint(
                fields=("step", "step_version", "signed_by"), name="sign_off_once_per_person"
            ),
        )

    def __str__(self) -> str:
        return f"{self.signed_by} for {self.step}"
