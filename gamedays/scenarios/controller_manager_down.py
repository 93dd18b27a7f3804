"""Nobody reconciles: no endpoints, no replicas, no node health. What runs must not care."""

from __future__ import annotations

from gamedays.scenarios.base import Reading
from gamedays.scenarios.leader_elected import LeaderElectedDown


class ControllerManagerDown(LeaderElectedDown):
    key = "controller-manager-down"
    version = 1
    component = "kube-controller-manager"
    name = "controller manager"
    title = "Controller manager down"
    summary = "Takes kube-controller-manager away on every control-plane node, and gives it back."
    hypothesis = (
        "What runs goes on running, and users notice nothing. A pod that dies is not replaced, "
        "and its address stays in the Service, until the controller manager is back. When it "
        "returns, it takes no healthy node for lost and evicts nothing."
    )
    finding_example = (
        "When the controller manager is back it judges nodes by heartbeats that it has not read "
        "for minutes, taints them all, and evicts pods in numbers."
    )
    reading = (
        Reading(
            "Kubernetes: Controllers",
            "https://kubernetes.io/docs/concepts/architecture/controller/",
        ),
        Reading(
            "Kubernetes: Node controller and eviction rates",
            "https://kubernetes.io/docs/concepts/architecture/nodes/#node-controller",
        ),
        Reading(
            "Kubernetes: Leases and leader election",
            "https://kubernetes.io/docs/concepts/architecture/leases/",
        ),
    )
    icon = "rotate-clockwise-2"
