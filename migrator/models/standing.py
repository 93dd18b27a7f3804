"""Where each service stands, kept ready for the board.

What holds a step back is told by gates, one step at a time and some ten queries each: asking them
for ten thousand services would take a page a minute. So the answers are kept in rows that are made
of other rows and may be thrown away at any time; `operations/standings.py` makes them again.
"""

from __future__ import annotations

from django.db import models

from migrator.choices import Health, Standing
from migrator.models.plan import Plan
from migrator.models.service import Service
from migrator.models.step import Step


class ServiceStanding(models.Model):
    """One service. A trigger makes the row with the service (migration 0011).

    Nothing here locks a plan or a step: a foreign key that the database checks would.
    """

    service = models.OneToOneField(
        Service, on_delete=models.CASCADE, primary_key=True, related_name="standing"
    )
    stage = models.CharField(max_length=15, choices=Standing, default=Standing.UNPLANNED)
    health = models.CharField(max_length=12, choices=Health, default=Health.NOT_PLANNED)
    sentence = models.TextField(blank=True)
    """Why its health is what it is."""
    clears = models.CharField(max_length=80, blank=True)
    """What to do about it, as a verb with its object: the text of `link`."""
    link = models.CharField(max_length=200, blank=True)
    late_since = models.DateField(null=True)
    """Also set where something worse than being late is told."""
    plan = models.ForeignKey(
        Plan, on_delete=models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    """The plan that is on: its next step counts."""
    step = models.ForeignKey(
        Step, on_delete=models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    """The next one, or the one that is under way; empty where none is ahead."""
    steps = models.PositiveIntegerField(default=0)
    behind = models.PositiveIntegerField(default=0)
    began_at = models.DateTimeField(null=True)
    """When the first of its steps changed anything."""
    arrived_at = models.DateTimeField(null=True)
    """When its last step for production ended."""
    looked_at = models.DateTimeField()
    look_again_at = models.DateTimeField(db_index=True)
    """Dates pass and proofs grow old without anybody doing anything."""

    class Meta:
        indexes = (models.Index(fields=("stage", "health"), name="standing_by_stage"),)

    def __str__(self) -> str:
        return f"{self.service_id}: {self.stage}, {self.health}"


class Hold(models.Model):
    """One reason that holds a service's next step, as its gate told it."""

    service = models.ForeignKey(
        Service, on_delete=models.CASCADE, db_constraint=False, related_name="holds"
    )
    plan = models.ForeignKey(
        Plan, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    step = models.ForeignKey(
        Step, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    code = models.CharField(max_length=60)
    subject = models.CharField(max_length=80, blank=True)
    cause = models.TextField()
    """The same for everything that it holds."""
    sentence = models.TextField()
    clears = models.CharField(max_length=80)
    link = models.CharField(max_length=200)

    class Meta:
        ordering = ("pk",)
        indexes = (models.Index(fields=("code", "subject"), name="hold_by_cause"),)

    def __str__(self) -> str:
        return self.sentence


class StandingMark(models.Model):
    """“Look at this service again.” Triggers add rows wherever something of it is written, so that
    no verb can forget to. Only added and taken away: marking waits for nobody and locks nothing."""

    service_id = models.BigIntegerField()

    def __str__(self) -> str:
        return str(self.service_id)
