"""Gamedays and their agendas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import BigIntegerRangeField, DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q, Value

from core.models import Cluster, User
from gamedays.choices import GAMEDAY_OPEN, GamedayState, Purpose

if TYPE_CHECKING:
    import datetime as dt

TITLE_MAX = 120
"""Characters; the verb refuses what is longer, in words."""


class GamedayQuerySet(models.QuerySet["Gameday"]):
    def visible_to(self, user: User) -> GamedayQuerySet:
        return self.filter(cluster__in=Cluster.objects.visible_to(user))


class Gameday(models.Model):
    """A booked stretch of time on one cluster, with an agenda of faults."""

    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="gamedays")
    title = models.CharField(max_length=TITLE_MAX)
    purpose = models.CharField(max_length=12, choices=Purpose, default=Purpose.GAMEDAY)
    period = DateTimeRangeField()
    time_zone = models.CharField(max_length=64, default="UTC")
    """IANA name of the zone that the booking was made in."""
    facilitator = models.ForeignKey(User, on_delete=models.PROTECT, related_name="facilitates")
    autostart = models.BooleanField(default=False)
    """Start by itself at the booked time; otherwise a person starts it."""
    state = models.CharField(
        max_length=10, choices=GamedayState, default=GamedayState.BOOKED, db_index=True
    )
    booked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    booked_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    started_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    ended_at = models.DateTimeField(null=True)

    objects = GamedayQuerySet.as_manager()

    class Meta:
        ordering = ("-period",)
        constraints = (
            # The range of one cluster id makes "the same cluster" a range overlap, which the
            # plain GiST of every PostgreSQL knows; `btree_gist` would be one more part.
            ExclusionConstraint(
                name="gameday_no_overlap_on_cluster",
                expressions=[
                    (
                        Func(
                            F("cluster"),
                            F("cluster"),
                            Value("[]"),
                            function="int8range",
                            output_field=BigIntegerRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                    ("period", RangeOperators.OVERLAPS),
                ],
                condition=Q(state__in=list(GAMEDAY_OPEN)),
            ),
            models.CheckConstraint(
                condition=Q(period__isempty=False), name="gameday_period_not_empty"
            ),
        )

    def __str__(self) -> str:
        return self.title

    @property
    def starts_at(self) -> dt.datetime:
        assert self.period.lower is not None  # noqa: S101  (bookings have two ends)
        return self.period.lower

    @property
    def ends_at(self) -> dt.datetime:
        assert self.period.upper is not None  # noqa: S101
        return self.period.upper


class AgendaItem(models.Model):
    """One fault that is planned: a scenario in one version, with its parameters."""

    gameday = models.ForeignKey(Gameday, on_delete=models.CASCADE, related_name="agenda")
    position = models.PositiveSmallIntegerField()
    scenario_key = models.SlugField(max_length=60)
    scenario_version = models.PositiveSmallIntegerField()
    parameters = models.JSONField(default=dict)

    class Meta:
        ordering = ("position",)
        constraints = (
            models.UniqueConstraint(fields=("gameday", "position"), name="agenda_position"),
        )

    def __str__(self) -> str:
        return f"{self.position}. {self.scenario_key}"
