"""A control-plane component is given a flag that it cannot live with."""

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
    not_healthy,
)
from gamedays.scenarios.plan import BadFlag, Component, FaultPlan, NodeFault

_FLAGS: dict[str, tuple[BadFlag, Component, str]] = {
    "etcd-elsewhere": (
        "etcd-elsewhere",
        "kube-apiserver",
        "API server: looks for etcd at a closed port",
    ),
    "unknown-apiserver-flag": (
        "unknown-apiserver-flag",
        "kube-apiserver",
        "API server: a flag that it does not know",
    ),
    "unknown-scheduler-flag": (
        "unknown-scheduler-flag",
        "kube-scheduler",
        "Scheduler: a flag that it does not know",
    ),
    "unknown-controller-manager-flag": (
        "unknown-controller-manager-flag",
        "kube-controller-manager",
        "Controller manager: a flag that it does not know",
    ),
}
_GRACE_S = 10
"""For a load balancer to take one server out, or for another replica to become leader."""


class BadFlagInManifest(Scenario):
    key = "bad-control-plane-flag"
    version = 1
    title = "Bad flag in a control-plane manifest"
    summary = (
        "Gives one component on one control-plane node a wrong flag, as a hurried change of its "
        "manifest would, and puts the manifest back as it was."
    )
    hypothesis = (
        "The component beside the bad flag does not come up, and says why in its log. Its "
        "replicas on the other nodes carry on: reads through the API's common address go on "
        "after a short pause, users notice nothing, and somebody is told."
    )
    finding_example = (
        "An API server with a wrong etcd address starts, answers its port and fails every "
        "request; a load balancer that checks the port only keeps sending it a third of them."
    )
    parameters = (
        Parameter(
            name="node",
            label="Node",
            kind="node",
            help="The control-plane node whose manifest is changed.",
        ),
        Parameter(
            name="flag",
            label="Wrong flag",
            kind="choice",
            default="etcd-elsewhere",
            choices=tuple((key, label) for key, (_flag, _part, label) in _FLAGS.items()),
            help="From a fixed list; the node's guard knows the text of each.",
        ),
        hold_parameter(default=60),
        OBSERVE,
    )
    reading = (
        Reading(
            "Kubernetes: Static Pods",
            "https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/",
        ),
        Reading(
            "Kubernetes: API health endpoints",
            "https://kubernetes.io/docs/reference/using-api/health-checks/",
        ),
        Reading(
            "kubeadm: Reconfiguring a cluster",
            "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-reconfigure/",
        ),
    )
    recovery_budget_s = 240
    icon = "pencil"

    def plan(self, parameters: Mapping[str, Value], nodes: Sequence[str]) -> FaultPlan:
        flag, component, _label = _FLAGS[str(parameters["flag"])]
        fault = NodeFault(
            kind="flag", hold_s=self.hold_s(parameters), component=component, flag=flag
        )
        return FaultPlan(nodes={str(parameters["node"]): fault})

    def expectations(self, parameters: Mapping[str, Value]) -> tuple[Expectation, ...]:
        return (
            Expectation(
                key="api-reads",
                title="API reads through the common address go on",
                broken_title="API reads fail while one component has a bad flag",
                probe_kind=ProbeKind.API_READ,
                min_passed_share=0.99,
                window=Window(start="bitten", end="undo_asked", grace_s=_GRACE_S),
            ),
            Expectation(
                key="traffic",
                title="Users' requests do not notice",
                broken_title="Users' requests fail while one component has a bad flag",
                probe_kind=ProbeKind.HTTP,
                min_passed_share=0.99,
                window=Window(start="bitten", end="ended"),
            ),
            Expectation(
                key="told",
                title="Somebody is told",
                broken_title="Nobody was told of a component that does not come up",
                probe_kind=ProbeKind.ALERT_EXPECTED,
                min_passed_share=0.0,
                window=Window(start="bitten", end="ended"),
                required=False,
            ),
        )

    def preflight(self, parameters: Mapping[str, Value], state: ClusterState) -> list[str]:
        _flag, component, _label = _FLAGS[str(parameters["flag"])]
        target = str(parameters["node"])
        parts = {
            name: found[component] for name, found in state.nodes.items() if component in found
        }
        if target not in parts or not parts[target].running:
            return [f"No {component} runs on {target}."]
        problems = not_healthy(component, parts)
        if problems:
            return problems
        if len(parts) < 2:
            return [
                (
                    f"{target} has the only {component} of this cluster: nothing could carry on, "
                    "and the hypothesis has nothing to say. It needs a second one."
                )
            ]
        return []
