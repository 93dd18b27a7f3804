"""Clusters, their nodes, and how far the raising of one has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

from core.choices import SetupPhase, Stage
from core.models.person import Team

if TYPE_CHECKING:
    from core.models.person import User


class ClusterQuerySet(models.QuerySet["Cluster"]):
    def visible_to(self, user: User) -> ClusterQuerySet:
        """Clusters of the person's teams; all of them for a platform owner."""
        if user.is_superuser:
            return self
        return self.filter(team__memberships__user=user).distinct()

    def active(self) -> ClusterQuerySet:
        """Without those that exist no more; their history stays."""
        return self.filter(retired_at__isnull=True)


class Cluster(models.Model):
    """One Kubernetes cluster, known by the UID of its `kube-system` namespace."""

    name = models.CharField(max_length=63, unique=True)
    slug = models.SlugField(max_length=63, unique=True)
    stage = models.CharField(max_length=10, choices=Stage)
    """Fixed at registration: a trigger refuses to change it."""
    uid = models.UUIDField(unique=True)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="clusters")
    server = models.URLField(max_length=255, help_text="The API's address that clients use.")
    ca_pem = models.TextField()
    token_encrypted = models.TextField()
    kubernetes_version = models.CharField(max_length=32, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    registered_at = models.DateTimeField(auto_now_add=True)
    registered_by = models.ForeignKey(
        "core.User", on_delete=models.SET_NULL, null=True, related_name="+"
    )

    retired_at = models.DateTimeField(null=True, editable=False)
    """The cluster is gone for good; it is kept for the history of its runs."""

    objects = ClusterQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        constraints = (
            models.CheckConstraint(
                condition=Q(stage__in=[Stage.QA, Stage.PRODUCTION]), name="cluster_stage_is_known"
            ),
            # The target of the injections' composite foreign key: a fault can only point at a
            # row whose stage is `qa`, whatever the code above it believes.
            models.UniqueConstraint(fields=("id", "stage"), name="cluster_id_and_stage"),
        )

    def __str__(self) -> str:
        return self.name


class Node(models.Model):
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, related_name="nodes")
    name = models.CharField(max_length=253)
    address = models.GenericIPAddressField(help_text="InternalIP of the node.")
    control_plane = models.BooleanField(default=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("cluster", "name"), name="node_name_in_cluster"),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def api_server(self) -> str:
        """The address of this node's own API server, past any proxy (kubeadm's port)."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"https://{host}:6443"


class ClusterSetup(models.Model):
    """Progress of a cluster that is being raised and registered, for people who wait for it."""

    name = models.CharField(max_length=63, unique=True)
    phase = models.CharField(max_length=12, choices=SetupPhase, default=SetupPhase.WAITING)
    step = models.CharField(max_length=200, blank=True)
    steps_done = models.PositiveSmallIntegerField(default=0)
    steps_total = models.PositiveSmallIntegerField(default=0)
    percent = models.PositiveSmallIntegerField(default=0)
    message = models.TextField(blank=True)
    log_tail = models.JSONField(default=list)
    eta_s = models.PositiveIntegerField(null=True)
    started_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    cluster = models.OneToOneField(Cluster, on_delete=models.SET_NULL, null=True)

    def __str__(self) -> str:
        return f"{self.name}: {self.phase}"
