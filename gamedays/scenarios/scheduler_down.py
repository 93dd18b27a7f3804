"""Nobody places new pods; what runs must not care."""

from __future__ import annotations

from gamedays.scenarios.base import Reading
from gamedays.scenarios.leader_elected import LeaderElectedDown


class SchedulerDown(LeaderElectedDown):
    key = "scheduler-down"
    version = 1
    component = "kube-scheduler"
    name = "scheduler"
    title = "Scheduler down"
    summary = "Takes kube-scheduler away on every control-plane node, and gives it back."
    hypothesis = (
        "What runs goes on running, and users notice nothing. New pods wait as Pending, and are "
        "placed within seconds when the scheduler is back. Nothing is evicted."
    )
    finding_example = (
        "A service that replaces its pods on a timer runs out of them, because none of the new "
        "ones is placed while the scheduler is away."
    )
    reading = (
        Reading(
            "Kubernetes: Kubernetes Scheduler",
            "https://kubernetes.io/docs/concepts/scheduling-eviction/kube-scheduler/",
        ),
        Reading(
            "Kubernetes: Leases and leader election",
            "https://kubernetes.io/docs/concepts/architecture/leases/",
        ),
    )
    icon = "calendar-x"
