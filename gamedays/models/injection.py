"""One fault on one cluster, and the lease of whoever conducts it."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from core.choices import Stage
from core.models import Cluster, User
from gamedays.choices import BEFORE_UNDO, FINAL, InjectionState, Verdict
from gamedays.models.gameday import AgendaItem

_FINAL_STATES = sorted(FINAL)


class InjectionQuerySet(models.QuerySet["Injection"]):
    def visible_to(self, user: User) -> InjectionQuerySet:
        return self.filter(cluster__in=Cluster.objects.visible_to(user))

    def live(self) -> InjectionQuerySet:
        """Not final: these hold their cluster's slot."""
        return self.exclude(state__in=_FINAL_STATES)


class Injection(models.Model):
    """The row is the truth that people see; the guards' journals are the truth of the nodes.

    Its id is also the order id on every guard.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    agenda_item = models.ForeignKey(AgendaItem, on_delete=models.PROTECT, related_name="injections")
    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="injections")
    cluster_stage = models.CharField(max_length=10, default=Stage.QA, editable=False)
    """With the composite foreign key of migration 0002: the cluster is a QA cluster."""
    scenario_key = models.SlugField(max_length=60)
    scenario_version = models.PositiveSmallIntegerField()
    parameters = models.JSONField(default=dict)
    state = models.CharField(
        max_length=16, choices=InjectionState, default=InjectionState.PLANNED, db_index=True
    )
    verdict = models.CharField(max_length=12, choices=Verdict, blank=True)
    reason = models.TextField(blank=True)
    """Why it was refused, is stuck, or has this verdict, in one sentence for people."""
    doubt = models.TextField(blank=True)
    """Set by whatever makes the run inconclusive, at the moment it happens; empty: none."""
    recipe = models.JSONField(default=dict)
    """What undoes it, committed before anything is armed: per node the fault and its order."""
    fingerprint = models.JSONField(default=dict)
    """The state before: per node manifests, processes, etcd member; and the pods."""
    judgement = models.JSONField(default=list)
    """Each expectation with what was measured against its bound."""
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    due_at = models.DateTimeField()
    preflight_at = models.DateTimeField(null=True)
    armed_at = models.DateTimeField(null=True)
    injecting_at = models.DateTimeField(null=True)
    bitten_at = models.DateTimeField(null=True)
    undo_asked_at = models.DateTimeField(null=True)
    undone_at = models.DateTimeField(null=True)
    restored_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    abort_requested_at = models.DateTimeField(null=True)
    abort_requested_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, related_name="+"
    )

    objects = InjectionQuerySet.as_manager()

    class Meta:
        ordering = ("-asked_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("cluster",),
                condition=~Q(state__in=_FINAL_STATES),
                name="injection_one_live_per_cluster",
            ),
            models.CheckConstraint(
                condition=Q(cluster_stage=Stage.QA), name="injection_on_qa_only"
            ),
        )
        indexes = (
            # The strip asks for each cluster's newest fault with every page and every second.
            models.Index(
                fields=("cluster", "-ended_at"),
                condition=Q(bitten_at__isnull=False, ended_at__isnull=False),
                name="injection_newest_ended",
            ),
        )

    def __str__(self) -> str:
        return f"{self.scenario_key} on {self.cluster}"

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def offers_abort(self) -> bool:
        """Whether pages offer it: nobody asked yet, and it would change something, which it does
        until the undo is asked for. What a person clicks all the same is taken
        (`operations.runs.abort_injection`)."""
        return self.state in BEFORE_UNDO and self.abort_requested_at is None


class Lease(models.Model):
    """Is somebody conducting? Without history; its expiry means *undo*, nothing else.

    No column here holds a time of expiry: a watcher compares `renewals` with what it saw 15 s
    ago on its own monotonic clock, so no two clocks are ever compared.
    """

    injection = models.OneToOneField(
        Injection, on_delete=models.CASCADE, primary_key=True, related_name="lease"
    )
    fence = models.PositiveIntegerField(default=0)
    """Raised by every takeover; a conductor that holds an older one can change nothing."""
    holder = models.CharField(max_length=120, blank=True)
    renewals = models.PositiveBigIntegerField(default=0)
    given_up = models.BooleanField(default=False)
    """The holder was told to stop and says so: whoever watches may take over at once."""

    def __str__(self) -> str:
        return f"{self.injection_id}: {self.fence} {self.holder}"
