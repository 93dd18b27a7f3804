"""What was seen during a run: timeline, samples, pods. Written only through `journal`."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from core.models import User
from gamedays.choices import EntryKind, PodSource
from gamedays.models.injection import Injection
from gamedays.models.probe import Probe

BLOCK_S = 10
"""Seconds of samples that one `SampleBlock` holds; it begins at a whole multiple of them."""


class TimelineEntry(models.Model):
    injection = models.ForeignKey(Injection, on_delete=models.CASCADE, related_name="timeline")
    at = models.DateTimeField()
    kind = models.CharField(max_length=10, choices=EntryKind)
    text = models.TextField()
    data = models.JSONField(default=dict)
    actor = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        ordering = ("at", "id")

    def __str__(self) -> str:
        return self.text


class SampleBlock(models.Model):
    """`BLOCK_S` seconds of one probe's samples, as one row.

    `samples` is a list of `[offset_ms, passed, attempts, latency_ms, detail]`; `offset_ms`
    counts from `started_at`; `attempts` is 0 when we could not look (unknown); `latency_ms` is
    null without an answer.
    """

    injection = models.ForeignKey(Injection, on_delete=models.CASCADE, related_name="blocks")
    probe = models.ForeignKey(Probe, on_delete=models.PROTECT, related_name="+")
    fence = models.PositiveIntegerField()
    """Whose samples: two conductors in a takeover never write one row."""
    started_at = models.DateTimeField()
    samples = models.JSONField(default=list)
    written_at = models.DateTimeField(db_default=Now(), editable=False)
    """When the row was last written, by the database's clock (a trigger, migration 0012): whoever
    has read a run asks for what is newer."""

    class Meta:
        ordering = ("started_at", "fence")
        indexes = (models.Index(fields=("injection", "written_at"), name="sample_block_written"),)
        constraints = (
            models.UniqueConstraint(
                fields=("injection", "probe", "started_at", "fence"), name="sample_block_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.probe_id} from {self.started_at}"


class PodRecord(models.Model):
    """One pod's fate during a run."""

    injection = models.ForeignKey(Injection, on_delete=models.CASCADE, related_name="pods")
    uid = models.CharField(max_length=64)
    mirror_uid = models.CharField(max_length=64, blank=True)
    """For a mirror pod: the static pod's own UID, by which the node's guard knows it."""
    namespace = models.CharField(max_length=63, blank=True)
    name = models.CharField(max_length=253, blank=True)
    node = models.CharField(max_length=253, blank=True)
    existed_before = models.BooleanField(default=False)
    phase = models.CharField(max_length=20, blank=True)
    ready = models.BooleanField(null=True)
    restarts_before = models.PositiveIntegerField(null=True)
    restarts = models.PositiveIntegerField(null=True)
    source = models.CharField(max_length=6, choices=PodSource, default=PodSource.API)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    gone_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=120, blank=True)
    worst_reason = models.CharField(max_length=120, blank=True)
    """The last trouble that was named, kept when the pod is well again (`CrashLoopBackOff`)."""
    last_unready_at = models.DateTimeField(null=True)
    """When the API last showed it as not ready, or first as ready again: it may have come late."""

    class Meta:
        ordering = ("node", "namespace", "name", "uid")
        constraints = (
            models.UniqueConstraint(fields=("injection", "uid"), name="pod_once_per_injection"),
        )

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"
