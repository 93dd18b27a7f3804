"""Words with a fixed meaning in the inventory."""

from __future__ import annotations

from django.db import models


class Tier(models.IntegerChoices):
    """How much stands still when the service does. A fixed set, so that policies can name it."""

    ONE = 1, "Tier 1: customers stand still"
    TWO = 2, "Tier 2: customers notice"
    THREE = 3, "Tier 3: only we notice"


class WorkloadKind(models.TextChoices):
    """The kinds of Kubernetes objects that a service can become."""

    DEPLOYMENT = "Deployment", "Deployment"
    STATEFUL_SET = "StatefulSet", "StatefulSet"
    DAEMON_SET = "DaemonSet", "DaemonSet"


class ServiceVerb(models.TextChoices):
    """What was done to a service, in the history that each one keeps."""

    CREATED = "created", "Created"
    EDITED = "edited", "Edited"
    CAPACITY_CONFIRMED = "capacity_confirmed", "Legacy capacity confirmed"
    DEPENDENCY_ADDED = "dependency_added", "Dependency added"
    DEPENDENCY_REMOVED = "dependency_removed", "Dependency removed"
    LINKED = "linked", "Linked to the cluster"
