"""Pods of one Deployment are deleted; others take over and new ones come."""

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


class PodsKilled(Scenario):
    key = "pods-killed"
    version = 1
    title = "Pods killed"
    summary = "Deletes one pod of a Deployment, or all of them at once."
    hypothesis = (
        "Users do not notice the loss of a pod: it finishes what it serves, the others take its "
        "share before it is gone, and a new one is ready within a minute."
    )
    finding_example = (
        "A share of requests failed for two seconds: the pod stopped listening before Envoy had "
        "heard that it was going."
    )
    parameters = (
        Parameter(
            name="target",
            label="Deployment",
            kind="object",
            help="Whose pods are deleted.",
        ),
        Parameter(
            name="how_many",
            label="How many",
            kind="choice",
            default="one",
            choices=(("one", "One of its ready pods"), ("all", "All of its ready pods at once")),
            help="All at once is an outage of that service, unless something else answers.",
        ),
        hold_parameter(
            default=30,
            help_text="How long we watch others take its place: the kill itself is over.",
        ),
        OBSERVE,
    )
    reading = (
        Reading(
            "Kubernetes: Termination of Pods",
            "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/",
        ),
        Reading(
            "Kubernetes: Disruptions",
            "https://kubernetes.io/docs/concepts/workloads/pods/disruptions/",
        ),
    )
    recovery_budget_s = 180
    icon = "hexagons"

    def plan(self, parameters: Mapping[str, Value], nodes: Sequence[str]) -> FaultPlan:
        namespace, name = split_object(parameters["target"])
        fault = ObjectFault(
            kind="pod",
            namespace=namespace,
            name=name,
            change="delete-pod",
            select="one-pod-of" if parameters["how_many"] == "one" else "pods-of",
        )
        return FaultPlan(objects=(fault,))

    def expectations(self, parameters: Mapping[str, Value]) -> tuple[Expectation, ...]:
        return (
            Expectation(
                key="traffic",
                title="Users' requests do not notice",
                broken_title="Users' requests fail when pods are killed",
                probe_kind=ProbeKind.HTTP,
                min_passed_share=0.99,
                window=Window(start="bitten", end="ended"),
            ),
        )

    def preflight(self, parameters: Mapping[str, Value], state: ClusterState) -> list[str]:
        return []
