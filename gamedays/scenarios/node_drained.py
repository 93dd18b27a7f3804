"""A node is drained, as before its maintenance, and opened again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gamedays.choices import ProbeKind
from gamedays.scenarios.base import (
    OBSERVE,
    ClusterState,
    Expectation,
    Parameter,
    Reading,
    Scenario,
    Value,
    Window,
    hold_parameter,
)
from gamedays.scenarios.plan import FaultPlan, ObjectFault


class NodeDrained(Scenario):
    key = "node-drained"
    version = 1
    title = "Node drained"
    summary = (
        "Closes one node to new pods, evicts what a drain evicts, and opens it again. Pods that "
        "moved away stay where they went."
    )
    hypothesis = (
        "A node can be taken out for maintenance at any time: disruption budgets keep enough pods "
        "serving, what was evicted is ready elsewhere within a minute, and no user notices."
    )
    finding_example = (
        "A service with a single replica was away for nine seconds: nothing kept its only pod from "
        "being evicted before its successor was ready."
    )
    parameters = (
        Parameter(
            name="node",
            label="Node",
            kind="node",
            help="The node that is drained. Static pods and DaemonSets stay on it.",
        ),
        hold_parameter(default=60),
        OBSERVE,
    )
    reading = (
        Reading(
            "Kubernetes: Safely drain a node",
            "https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/",
        ),
        Reading(
            "Kubernetes: API-initiated eviction",
            "https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/",
        ),
    )
    recovery_budget_s = 240
    icon = "server-off"

    def plan(self, parameters: Mapping[str, Value], nodes: Sequence[str]) -> FaultPlan:
        node = str(parameters["node"])
        return FaultPlan(
            objects=(
                ObjectFault(kind="node", namespace="", name=node, change="cordon"),
                ObjectFault(kind="pod", namespace="", name=node, change="evict", select="pods-on"),
            )
        )

    def expectations(self, parameters: Mapping[str, Value]) -> tuple[Expectation, ...]:
        return (
            Expectation(
                key="traffic",
                title="Users' requests do not notice",
                broken_title="Users' requests fail while a node is drained",
                probe_kind=ProbeKind.HTTP,
                min_passed_share=0.99,
                window=Window(start="bitten", end="ended"),
            ),
            Expectation(
                key="api-reads",
                title="API reads go on",
                broken_title="API reads fail while a node is drained",
                probe_kind=ProbeKind.API_READ,
                min_passed_share=0.99,
                window=Window(start="bitten", end="ended"),
            ),
        )

    def preflight(self, parameters: Mapping[str, Value], state: ClusterState) -> list[str]:
        return []
