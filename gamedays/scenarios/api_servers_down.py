"""Every API server goes away at once; what runs must go on running."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gamedays.choices import ProbeKind
from gamedays.scenarios.base import (
    MODE,
    OBSERVE,
    ClusterState,
    Expectation,
    Reading,
    Scenario,
    Value,
    Window,
    hold_parameter,
    not_healthy,
)
from gamedays.scenarios.plan import FaultPlan


class ApiServersDown(Scenario):
    key = "api-servers-down"
    version = 2
    title = "All API servers down"
    summary = "Takes kube-apiserver away on every control-plane node, and gives it back."
    hypothesis = (
        "Traffic through Envoy does not notice that the Kubernetes API is gone. Nothing is "
        "rescheduled while it is away, and nothing is evicted or left crashing when it returns."
    )
    finding_example = (
        "A controller that lost its leader election stays in a crash loop for minutes after the "
        "API is back, and route changes do not arrive in that time."
    )
    parameters = (MODE, hold_parameter(default=60), OBSERVE)
    reading = (
        Reading(
            "Kubernetes: Nodes and their heartbeats",
            "https://kubernetes.io/docs/concepts/architecture/nodes/",
        ),
        Reading(
            "Kubernetes: Static Pods",
            "https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/",
        ),
        Reading(
            "Envoy: Eventual consistency of the xDS protocol",
            "https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol",
        ),
    )
    recovery_budget_s = 180
    icon = "server-off"

    def plan(self, parameters: Mapping[str, Value], nodes: Sequence[str]) -> FaultPlan:
        fault = self.node_fault("kube-apiserver", parameters)
        return FaultPlan(nodes=dict.fromkeys(nodes, fault))

    def expectations(self, parameters: Mapping[str, Value]) -> tuple[Expectation, ...]:
        return (
            Expectation(
                key="traffic",
                title="Users' requests through Envoy do not notice",
                broken_title="Users' requests fail while the API servers are away",
                probe_kind=ProbeKind.HTTP,
                min_passed_share=0.99,
                window=Window(start="bitten", end="ended"),
            ),
            Expectation(
                key="api-back",
                title="The API serves reads again once it is restored",
                broken_title="API reads still fail after the API servers are back",
                probe_kind=ProbeKind.API_READ,
                min_passed_share=0.99,
                window=Window(start="restored", end="ended", grace_s=2),
            ),
        )

    def preflight(self, parameters: Mapping[str, Value], state: ClusterState) -> list[str]:
        problems = []
        running = {}
        for name, parts in sorted(state.nodes.items()):
            server = parts.get("kube-apiserver")
            if server is None or not server.running:
                problems.append(f"No API server runs on {name}.")
            else:
                running[name] = server
        return problems + not_healthy("the API server", running)
