"""The cluster's name service goes away."""

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
    split_object,
)
from gamedays.scenarios.plan import FaultPlan, ObjectFault


class CoreDnsDown(Scenario):
    key = "coredns-down"
    version = 1
    title = "Cluster DNS down"
    summary = "Scales CoreDNS to zero, and back to as many replicas as there were."
    hypothesis = (
        "Without DNS inside the cluster users notice nothing: Envoy has addresses, not names, and "
        "services that are already connected stay connected. The API needs no cluster DNS."
    )
    finding_example = (
        "A service that looks its database up for every request failed for as long as DNS was "
        "away, and went on failing while its resolver still cached the failure."
    )
    parameters = (
        Parameter(
            name="target",
            label="DNS Deployment",
            kind="object",
            default="kube-system/coredns",
            help="The Deployment that answers the cluster's names.",
        ),
        hold_parameter(default=60),
        OBSERVE,
    )
    reading = (
        Reading(
            "Kubernetes: DNS for Services and Pods",
            "https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/",
        ),
        Reading("CoreDNS: the cache plugin", "https://coredns.io/plugins/cache/"),
    )
    recovery_budget_s = 180
    icon = "zoom-question"

    def plan(self, parameters: Mapping[str, Value], nodes: Sequence[str]) -> FaultPlan:
        namespace, name = split_object(parameters["target"])
        fault = ObjectFault(
            kind="deployment", namespace=namespace, name=name, change="scale-to-zero"
        )
        return FaultPlan(objects=(fault,))

    def expectations(self, parameters: Mapping[str, Value]) -> tuple[Expectation, ...]:
        return (
            Expectation(
                key="traffic",
                title="Users' requests do not notice that cluster DNS is away",
                broken_title="Users' requests fail while cluster DNS is away",
                probe_kind=ProbeKind.HTTP,
                min_passed_share=0.99,
                window=Window(start="bitten", end="restored"),
            ),
            Expectation(
                key="api-reads",
                title="API reads go on",
                broken_title="API reads fail while cluster DNS is away",
                probe_kind=ProbeKind.API_READ,
                min_passed_share=0.99,
                window=Window(start="bitten", end="ended"),
            ),
        )

    def preflight(self, parameters: Mapping[str, Value], state: ClusterState) -> list[str]:
        return []
