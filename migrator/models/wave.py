"""Waves: services that move in the same weeks."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower

from core.models import Membership, Team, User
from migrator.choices import WaveVerb
from migrator.models.service import Service

_ONE_LINE = r"^[^[:cntrl:]]+$"


class WaveQuerySet(models.QuerySet["Wave"]):
    def visible_to(self, user: User) -> WaveQuerySet:
        """Waves of the person's teams, and those in which a service of theirs moves."""
        if user.is_superuser:
            return self
        teams = Membership.objects.filter(user=user).values("team")
        inside = WaveService.objects.filter(service__team__in=teams).values("wave")
        return self.filter(Q(team__in=teams) | Q(pk__in=inside))

    def current(self) -> WaveQuerySet:
        return self.filter(archived_at__isnull=True)


class Wave(models.Model):
    """When a set of services is to move. Its dates are promises: what misses them is late."""

    name = models.CharField(max_length=80)
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="waves")
    """Its leads change the wave."""
    starts_on = models.DateField()
    ends_on = models.DateField()
    """The last day."""
    note = models.TextField(blank=True)
    made_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, editable=False)
    version = models.PositiveIntegerField(default=1)
    """Rises with each change, so that nobody overwrites what they have not seen."""

    objects = WaveQuerySet.as_manager()

    class Meta:
        ordering = ("starts_on", "ends_on", "pk")
        constraints = (
            models.UniqueConstraint(
                "team",
                Lower("name"),
                condition=Q(archived_at__isnull=True),
                name="wave_name_once_in_a_team",
            ),
            models.CheckConstraint(condition=Q(name__regex=_ONE_LINE), name="wave_name_is_a_line"),
            models.CheckConstraint(
                condition=Q(ends_on__gte=F("starts_on")), name="wave_ends_after_it_starts"
            ),
        )

    def __str__(self) -> str:
        return self.name


class WaveService(models.Model):
    """A service in its wave. The key is the service's: it is in one at most."""

    service = models.OneToOneField(
        Service, on_delete=models.CASCADE, primary_key=True, related_name="in_wave"
    )
    wave = models.ForeignKey(Wave, on_delete=models.CASCADE, related_name="members")
    put_in_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    put_in_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("service__name",)

    def __str__(self) -> str:
        return f"{self.service} in {self.wave}"


class WaveChange(models.Model):
    """One verb, once done to a wave. A trigger refuses to change it afterwards."""

    wave = models.ForeignKey(Wave, on_delete=models.CASCADE, related_name="changes")
    verb = models.CharField(max_length=20, choices=WaveVerb)
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    details = models.JSONField(default=dict)
    """By field, the value before and after, as texts; with `services`, the slugs."""

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.wave}: {self.verb} by {self.by}"
