"""Words with a fixed meaning in core."""

from __future__ import annotations

from django.db import models


class Role(models.TextChoices):
    """What a person may do for a team's clusters. Everybody who may see a cluster may abort."""

    LEAD = "lead", "Team lead"
    ENGINEER = "engineer", "Engineer"
    VIEWER = "viewer", "Viewer"


class Stage(models.TextChoices):
    """A cluster is registered as one of these, for good. Faults exist on `qa` only."""

    QA = "qa", "QA"
    PRODUCTION = "production", "Production"


class SetupPhase(models.TextChoices):
    """How far a cluster that is being raised or registered has come."""

    WAITING = "waiting", "Waiting"
    RUNNING = "running", "In progress"
    READY = "ready", "Ready"
    FAILED = "failed", "Failed"
    UNAVAILABLE = "unavailable", "Not possible here"


class SlotKind(models.TextChoices):
    """What may hold a cluster's slot."""

    INJECTION = "injection", "Fault"
    STEP = "step", "Migration step"
