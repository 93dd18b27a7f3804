"""No image can be pulled; what runs, and what is on the nodes already, must not care."""

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
from gamedays.scenarios.meanwhile import PULL, RESTART
from gamedays.scenarios.plan import FaultPlan


class RegistryUnusable(Scenario):
    key = "registry-unusable"
    version = 2
    title = "Container registry unusable"
    summary = (
        "Drops the packets to the registry on every node, or scales it to zero, and gives it back."
    )
    hypothesis = (
        "What runs, runs. What a node has pulled before, starts again without the registry. What "
        "it has not, fails visibly with ImagePullBackOff, and comes up by itself when the "
        "registry is back. Users notice nothing."
    )
    finding_example = (
        "A pod with imagePullPolicy Always that is restarted in mid-outage does not come back, "
        "although its image lies on the node."
    )
    parameters = (
        HOW,
        service_parameter("registry/registry"),
        deployment_parameter("registry/registry"),
        RESTART,
        PULL,
        hold_parameter(default=90),
        OBSERVE,
    )
    reading = (
        Reading(
            "Kubernetes: Images and pull policy",
            "https://kubernetes.io/docs/concepts/containers/images/",
        ),
        Reading(
            "Distribution: the registry",
            "https://distribution.github.io/distribution/",
        ),
        Reading(
            "nftables: Sets with timeouts",
            "https://wiki.nftables.org/wiki-nftables/index.php/Sets",
        ),
    )
    recovery_budget_s = 180
    icon = "packages"

    def plan(self, parameters: Mapping[str, Value], nodes: Sequence[str]) -> FaultPlan:
        return plan_of(parameters)

    def expectations(self, parameters: Mapping[str, Value]) -> tuple[Expectation, ...]:
        return (
            Expectation(
                key="traffic",
                title="Users' requests do not notice",
                broken_title="Users' requests fail while no image can be pulled",
                probe_kind=ProbeKind.HTTP,
                min_passed_share=0.99,
                window=Window(start="bitten", end="ended"),
            ),
            Expectation(
                key="api-reads",
                title="The Kubernetes API does not notice",
                broken_title="API reads fail while no image can be pulled",
                probe_kind=ProbeKind.API_READ,
                min_passed_share=0.99,
                window=Window(start="bitten", end="ended"),
            ),
            Expectation(
                key="told",
                title="Somebody is told",
                broken_title="Nobody was told that the registry is away",
                probe_kind=ProbeKind.ALERT_EXPECTED,
                min_passed_share=0.0,
                window=Window(start="bitten", end="ended"),
                required=False,
            ),
        )

    def preflight(self, parameters: Mapping[str, Value], state: ClusterState) -> list[str]:
        return []  # whether its names stand for something is asked of the cluster by the engine
