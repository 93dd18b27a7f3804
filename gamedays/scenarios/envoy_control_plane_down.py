"""Envoy hears nothing new; what it was told last must do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gamedays.choices import ProbeKind
from gamedays.scenarios.base import (
    OBSERVE,
    ClusterState,
    Expectation,
    Reading,
    Scenario,
    Value,
    Window,
    hold_parameter,
)
from gamedays.scenarios.cut_or_scale import (
    HOW,
    deployment_parameter,
    plan_of,
    service_parameter,
)
from gamedays.scenarios.meanwhile import BACKEND
from gamedays.scenarios.plan import FaultPlan

_RECONNECTED_S = 30
"""Envoy asks again with a back-off that ends at 30 s."""
_SEEN_S = 10
"""What is judged after that time has to be watched for as long, at least."""


class EnvoyControlPlaneDown(Scenario):
    key = "envoy-control-plane-down"
    version = 2
    title = "Envoy's control plane unavailable"
    summary = (
        "Drops the packets to Envoy's control plane on every node, or scales it to zero, and "
        "gives it back."
    )
    hypothesis = (
        "Envoy keeps its last configuration, and requests on existing routes do not notice. A "
        "route that is changed meanwhile waits, and applies within seconds after the control "
        "plane is back. A backend pod that dies meanwhile is the risk: Envoy goes on sending to "
        "it until it hears better."
    )
    finding_example = (
        "A backend pod is replaced during the outage; Envoy sends its share of the requests to "
        "the dead address until the control plane is back."
    )
    parameters = (
        HOW,
        service_parameter("projectcontour/contour"),
        deployment_parameter("projectcontour/contour"),
        BACKEND,
        hold_parameter(default=90),
        OBSERVE,
    )
    reading = (
        Reading(
            "Envoy: xDS protocol",
            "https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol",
        ),
        Reading(
            "Envoy: Control plane statistics",
            "https://www.envoyproxy.io/docs/envoy/latest/configuration/overview/mgmt_server",
        ),
        Reading("Contour: Architecture", "https://projectcontour.io/docs/main/architecture/"),
    )
    recovery_budget_s = 180
    icon = "plug-connected-x"

    def plan(self, parameters: Mapping[str, Value], nodes: Sequence[str]) -> FaultPlan:
        return plan_of(parameters)

    def expectations(self, parameters: Mapping[str, Value]) -> tuple[Expectation, ...]:
        traffic = Expectation(
            key="traffic",
            title="Requests on existing routes do not notice",
            broken_title="Users' requests fail while Envoy hears nothing new",
            probe_kind=ProbeKind.HTTP,
            min_passed_share=0.99,
            window=Window(start="bitten", end="ended"),
        )
        told = Expectation(
            key="told",
            title="Somebody is told",
            broken_title="Nobody was told that Envoy has no control plane",
            probe_kind=ProbeKind.ALERT_EXPECTED,
            min_passed_share=0.0,
            window=Window(start="bitten", end="ended"),
            required=False,
        )
        if self.observe_s(parameters) < _RECONNECTED_S + _SEEN_S:
            return traffic, told  # the watch ends before Envoy has had its time
        return (
            traffic,
            told,
            Expectation(
                key="connected",
                title="Envoy is connected to its control plane again",
                broken_title="Envoy stays without its control plane after the restore",
                probe_kind=ProbeKind.ENVOY_STAT,
                whole_cluster_only=False,
                min_passed_share=0.95,
                window=Window(start="restored", end="ended", grace_s=_RECONNECTED_S),
                required=False,
            ),
            Expectation(
                key="route-changes",
                title="Route changes apply again",
                broken_title="Route changes still do not reach Envoy after the restore",
                probe_kind=ProbeKind.ROUTE_CHANGE,
                min_passed_share=0.95,
                window=Window(start="restored", end="ended", grace_s=_RECONNECTED_S),
                required=False,
            ),
        )

    def preflight(self, parameters: Mapping[str, Value], state: ClusterState) -> list[str]:
        return []  # whether its names stand for something is asked of the cluster by the engine
