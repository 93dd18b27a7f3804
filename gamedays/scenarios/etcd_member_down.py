"""One etcd member goes away; the other two keep the quorum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gamedays.choices import ProbeKind
from gamedays.scenarios.base import (
    MODE,
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
from gamedays.scenarios.plan import FaultPlan

_GRACE_S = 10
"""Enough for a leader election (1 s heartbeat, at most 5 s election time-out in kubeadm's
defaults) and for a load balancer to take one server out."""
_FAULT = Window(start="bitten", end="undo_asked", grace_s=_GRACE_S)


class EtcdMemberDown(Scenario):
    key = "etcd-member-down"
    version = 2
    title = "One etcd member down"
    summary = "Takes the etcd of one control-plane node away, and gives it back."
    hypothesis = (
        "With one of three etcd members gone the cluster keeps its quorum: reads and writes "
        "through the API's common address go on after a short pause, only the API server beside "
        "the lost member degrades, and no client and no user notices."
    )
    finding_example = (
        "A share of API requests fails for as long as the member is away, because the load "
        "balancer keeps sending traffic to the API server that lost its etcd."
    )
    parameters = (
        Parameter(
            name="node",
            label="Node",
            kind="node",
            help="The control-plane node whose etcd member goes away.",
        ),
        MODE,
        hold_parameter(default=60),
        OBSERVE,
    )
    reading = (
        Reading("etcd: Failure modes", "https://etcd.io/docs/v3.6/op-guide/failures/"),
        Reading(
            "Kubernetes: Options for highly available topology",
            "https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/ha-topology/",
        ),
        Reading(
            "Kubernetes: API health endpoints",
            "https://kubernetes.io/docs/reference/using-api/health-checks/",
        ),
    )
    recovery_budget_s = 240
    icon = "database-off"
    least_control_plane = 3

    def plan(self, parameters: Mapping[str, Value], nodes: Sequence[str]) -> FaultPlan:
        fault = self.node_fault("etcd", parameters)
        return FaultPlan(nodes={str(parameters["node"]): fault})

    def expectations(self, parameters: Mapping[str, Value]) -> tuple[Expectation, ...]:
        return (
            Expectation(
                key="api-reads",
                title="API reads through the common address go on",
                broken_title="API reads fail while one etcd member is away",
                probe_kind=ProbeKind.API_READ,
                min_passed_share=0.99,
                window=_FAULT,
            ),
            Expectation(
                key="api-writes",
                title="API writes through the common address go on",
                broken_title="API writes fail while one etcd member is away",
                probe_kind=ProbeKind.CANARY_WRITE,
                min_passed_share=0.99,
                window=_FAULT,
            ),
            Expectation(
                key="traffic",
                title="Users' requests do not notice",
                broken_title="Users' requests fail while one etcd member is away",
                probe_kind=ProbeKind.HTTP,
                min_passed_share=0.99,
                window=Window(start="bitten", end="restored"),
            ),
        )

    def preflight(self, parameters: Mapping[str, Value], state: ClusterState) -> list[str]:
        members = {name: parts["etcd"] for name, parts in state.nodes.items() if "etcd" in parts}
        target = str(parameters["node"])
        if target not in members or not members[target].running:
            return [f"No etcd member runs on {target}."]
        ill = sorted(n for n, m in members.items() if m.healthy is False)
        if ill:
            return [
                (
                    f"etcd is already degraded: {', '.join(ill)} is not healthy. Taking another "
                    "member away could cost the quorum; mend it first."
                )
            ]
        unseen = not_healthy("etcd", members)
        if unseen:
            return unseen
        if len(members) - 1 < len(members) // 2 + 1:
            return [
                (
                    f"{len(members)} etcd member(s): taking one away would lose the quorum. This "
                    "scenario needs at least three."
                )
            ]
        without = sorted(n for n, m in members.items() if m.has_leader is False)
        if without:
            return [f"The etcd member on {', '.join(without)} knows no leader."]
        untold = sorted(n for n, m in members.items() if m.has_leader is None)
        if untold:
            return [
                (
                    f"Nobody could look whether the etcd member on {', '.join(untold)} knows a "
                    "leader: unknown is not steady. Start again when its guard can see it."
                )
            ]
        return []
