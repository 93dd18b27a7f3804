"""Findings, fixes and the proofs that close them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from core.models import Cluster, User
from gamedays.choices import FindingStatus, Outcome, Severity, VerificationTask
from gamedays.models.injection import Injection
from migrator.models import Service

TITLE_MAX = 160
LINK_MAX = 500
"""Characters; the verbs refuse what is longer, in words."""


class FindingQuerySet(models.QuerySet["Finding"]):
    def visible_to(self, user: User) -> FindingQuerySet:
        return self.filter(cluster__in=Cluster.objects.visible_to(user))


class Finding(models.Model):
    """What surprised us. It ends only in proof: `verified_fixed` needs `proof`."""

    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="findings")
    injection = models.ForeignKey(Injection, on_delete=models.PROTECT, related_name="findings")
    """The run that showed it."""
    title = models.CharField(max_length=TITLE_MAX)
    believed = models.TextField(blank=True)
    """What we believed, from the scenario's hypothesis."""
    happened = models.TextField(blank=True)
    """What happened, drafted from the evidence and edited by a person."""
    cause = models.TextField(blank=True)
    severity = models.CharField(max_length=10, choices=Severity, default=Severity.MEDIUM)
    status = models.CharField(
        max_length=16, choices=FindingStatus, default=FindingStatus.OPEN, db_index=True
    )
    drafted = models.BooleanField(default=True)
    """Nobody has looked at it yet."""
    scenario_key = models.SlugField(max_length=60)
    scenario_version = models.PositiveSmallIntegerField()
    parameters = models.JSONField(default=dict)
    symptom = models.JSONField()
    """The predicate: probe, target, bound (`min_passed_share`), window (`from`, `grace_s`, `to`),
    and what the failing run measured."""
    owner = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="owned_findings"
    )
    service = models.ForeignKey(
        Service, on_delete=models.SET_NULL, null=True, blank=True, related_name="findings"
    )
    """The one service that it is about. None: it is about the cluster, and so about all of them."""
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    version = models.PositiveIntegerField(default=1)
    """Row version: a page that was open too long is told, instead of overwriting."""
    proof = models.ForeignKey(
        "Verification", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    objects = FindingQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(
                condition=~Q(status=FindingStatus.VERIFIED_FIXED) | Q(proof__isnull=False),
                name="finding_verified_only_by_proof",
            ),
        )

    def __str__(self) -> str:
        return self.title


class Fix(models.Model):
    """What was done about a finding. Append-only: a second try is a second row."""

    finding = models.ForeignKey(Finding, on_delete=models.CASCADE, related_name="fixes")
    what = models.TextField()
    link = models.URLField(max_length=LINK_MAX, blank=True)
    fixed_since = models.DateTimeField()
    """Only a run that began after this can prove it."""
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-fixed_since", "-id")
        verbose_name_plural = "fixes"

    def __str__(self) -> str:
        return self.what[:80]


class Verification(models.Model):
    """One asking for proof, its run and what the run showed. Append-only."""

    finding = models.ForeignKey(Finding, on_delete=models.CASCADE, related_name="verifications")
    gameday = models.OneToOneField("Gameday", on_delete=models.PROTECT, related_name="verification")
    injection = models.OneToOneField(
        Injection, on_delete=models.PROTECT, null=True, related_name="verification"
    )
    task = models.CharField(
        max_length=10, choices=VerificationTask, default=VerificationTask.WAITING
    )
    outcome = models.CharField(max_length=16, choices=Outcome, blank=True)
    explanation = models.TextField(blank=True)
    measured = models.JSONField(default=dict)
    after_fix = models.ForeignKey(Fix, on_delete=models.PROTECT, null=True, related_name="+")
    """The newest fix that the run began after; null: it ran on the unfixed system."""
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    evaluated_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-asked_at",)

    def __str__(self) -> str:
        return f"Re-verification of {self.finding}"


class Recurrence(models.Model):
    """A later run, none that was asked for as a proof, that showed the symptom of a finding which
    is still open: evidence for the one finding, never a second one. Append-only."""

    finding = models.ForeignKey(Finding, on_delete=models.CASCADE, related_name="recurrences")
    injection = models.ForeignKey(Injection, on_delete=models.PROTECT, related_name="recurrences")
    happened = models.TextField(blank=True)
    """The sentence of that run's judgement."""
    measured = models.JSONField(default=dict)
    after_fix = models.ForeignKey(Fix, on_delete=models.PROTECT, null=True, related_name="+")
    """The newest fix that was in place and did not help; null: the unfixed system, or the
    finding's own bound and window did not break."""
    seen_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-seen_at", "-id")
        constraints = (
            models.UniqueConstraint(
                fields=("finding", "injection"), name="recurrence_once_per_finding_and_run"
            ),
        )

    def __str__(self) -> str:
        return f"{self.finding}, seen again"
