"""Guards that keep orders in memory, and the nodes that they stand on."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gamedays.drivers.fleet import NodeStatus, OrderReport, Phase, Reply, UndoReason
from gamedays.scenarios.plan import NodeFault
from guard.protocol import (
    LEASE_S,
    PROTOCOL_VERSION,
    Armed,
    Boot,
    Component,
    ComponentStatus,
    Credential,
    Endpoint,
    EtcdMember,
    Fault,
    FaultKind,
    Hello,
    ManifestInfo,
    ProcessInfo,
)

_BOOT = Boot(boot_id="b", init_started_ticks=1)
_LASTS = (FaultKind.HOLD, FaultKind.FLAG, FaultKind.CUT, FaultKind.OBJECT)
"""What goes on until it is undone; a kill is over at once."""


@dataclass
class FakeNode:
    """One node with its guard: the truth that the rows are held against."""

    name: str
    pids: dict[str, int] = field(
        default_factory=lambda: {component: 10 * n for n, component in enumerate(Component, 1)}
    )
    order: OrderReport | None = None
    injections: int = 0
    reachable: bool = True
    healthy: bool = True
    tombstones: set[str] = field(default_factory=set)
    drills: int = 0
    drill_fails: bool = False
    """The dead-man switch of this guard does not fall."""
    cuts: list[str] | None = field(default_factory=list)
    """What its guard says of the kernel."""
    dropped: set[tuple[str, int]] = field(default_factory=set)
    """What the kernel does."""
    lies: bool = False
    """Its guard says that it undid a cut, and did not."""
    credential: Credential | None = None
    protocol: int = PROTOCOL_VERSION
    stuck: str = ""
    """Why its undo needs a person, as long as it does."""

    def status(self) -> NodeStatus:
        self._expire_drill()
        return NodeStatus(
            node=self.name,
            boot=_BOOT,
            observed_at="",
            order=self.order,
            components=[self._component(component) for component in Component],
            pod_uids=[],
            cuts=self.cuts,
        )

    def _component(self, component: Component) -> ComponentStatus:
        pid = self.pids[component]
        manifest = ManifestInfo(path=component, sha256="a", mode=384, uid=0, gid=0)
        if self.fault_is_on(component):
            assert self.order
            assert self.order.fault
            flagged = self.order.fault.kind is FaultKind.FLAG
            return ComponentStatus(
                component=component, manifest=replace(manifest, sha256="b") if flagged else None
            )
        return ComponentStatus(
            component=component,
            processes=[ProcessInfo(pid=pid, started_ticks=pid)] if pid else [],
            manifest=manifest,
            healthy=bool(pid) and self.healthy,
            etcd=EtcdMember(member_id=f"m-{self.name}", has_leader=bool(pid), is_leader=False)
            if component is Component.ETCD
            else None,
        )

    def fault_is_on(self, component: str | None = None) -> bool:
        order = self.order
        return bool(
            order
            and order.fault
            and order.fault.kind in _LASTS
            and order.phase in (Phase.INJECTED, Phase.INJECTING)
            and component in (None, order.component)
        )

    def changes_objects(self) -> bool:
        order = self.order
        return bool(
            order
            and order.fault
            and order.fault.kind is FaultKind.OBJECT
            and order.phase in (Phase.INJECTED, Phase.STUCK)
        )

    def strike(self, order: OrderReport) -> OrderReport:
        assert order.fault
        kind = order.fault.kind
        struck = replace(order, phase=Phase.INJECTED, bitten=True, injected_at="now")
        if kind is FaultKind.DRILL:
            self.drills += 1
            return struck
        self.injections += 1
        if kind is FaultKind.CUT:
            self.cuts = [f"{each.address} . {each.port}" for each in order.fault.endpoints]
            self.dropped = {(each.address, each.port) for each in order.fault.endpoints}
            return replace(struck, cut=list(order.fault.endpoints))
        if order.component is None:
            return struck
        old = self.pids[order.component]
        self.pids[order.component] = old + 100 if kind is FaultKind.KILL else 0
        return replace(struck, processes_before=[ProcessInfo(pid=old, started_ticks=old)])

    def take_back(self, order: OrderReport) -> OrderReport:
        if order.component is not None and not self.pids[order.component]:
            self.pids[order.component] = 500 + self.injections
        if self.cuts:
            self.cuts = []
        if not self.lies:
            self.dropped.clear()
        if self.stuck:
            return replace(order, phase=Phase.STUCK, detail=self.stuck)
        return replace(order, phase=Phase.UNDONE, undone_at="now")

    def _expire_drill(self) -> None:
        order = self.order
        drills = order is not None and order.fault and order.fault.kind is FaultKind.DRILL
        if order is not None and drills and order.phase is Phase.INJECTED and not self.drill_fails:
            self.order = replace(order, phase=Phase.UNDONE, undo_reason=UndoReason.LEASE)


class FakeGuards:
    def __init__(self, nodes: Iterable[str], cluster_uid: uuid.UUID) -> None:
        self.machines = {name: FakeNode(name) for name in nodes}
        self.uid = cluster_uid
        self.renewals = 0
        self.asked: list[str] = []
        """Verbs, in their order; those of drills are counted per node instead."""

    @property
    def nodes(self) -> list[str]:
        return sorted(self.machines)

    def hello(self) -> dict[str, Reply[Hello]]:
        return {
            node: Reply(
                Hello(
                    protocol=m.protocol,
                    version="1",
                    node=node,
                    cluster_uid=str(self.uid),
                    stage="qa",
                    boot=_BOOT,
                    session="s",
                    sequence=0,
                    epoch=1,
                    installation="i",
                    order=m.order if m.order and m.order.phase is not Phase.UNDONE else None,
                )
            )
            if m.reachable
            else Reply(None, "no answer")
            for node, m in self.machines.items()
        }

    def arm(
        self,
        order_id: str,
        faults: Mapping[str, NodeFault],
        credential: Credential | None = None,
        *,
        lease_s: float = LEASE_S,
    ) -> dict[str, Reply[Armed]]:
        if any(fault.kind != "drill" for fault in faults.values()):
            self.asked.append("arm")
        answers: dict[str, Reply[Armed]] = {}
        for node, fault in faults.items():
            machine = self.machines[node]
            if not machine.reachable:
                answers[node] = Reply(None, "no answer")
                continue
            assert order_id not in machine.tombstones
            machine.credential = credential
            machine.order = OrderReport(
                order_id=order_id,
                phase=Phase.ARMED,
                component=Component(fault.component) if fault.component else None,
                fault=Fault(
                    kind=FaultKind(fault.kind),
                    hold_s=fault.hold_s,
                    endpoints=[
                        Endpoint(address=each.address, port=each.port) for each in fault.endpoints
                    ],
                ),
                order_sha256="h",
            )
            answers[node] = Reply(Armed(report=machine.order, stored_sha256="h"))
        return answers

    def inject(self, order_id: str, nodes: Iterable[str]) -> dict[str, Reply[OrderReport]]:
        answers: dict[str, Reply[OrderReport]] = {}
        asked = list(nodes)
        if not any(self._is_drill(node) for node in asked):
            self.asked.append("inject")
        for node in asked:
            machine = self.machines[node]
            order = machine.order
            if not machine.reachable or order is None or order_id in machine.tombstones:
                answers[node] = Reply(None, "refused")
                continue
            assert order.phase is Phase.ARMED, "injected twice, or without arming"
            machine.order = machine.strike(order)
            answers[node] = Reply(machine.order)
        return answers

    def renew(self, order_id: str, nodes: Iterable[str]) -> dict[str, Reply[OrderReport]]:
        self.renewals += 1
        return {}

    def undo(self, order_id: str, nodes: Iterable[str]) -> dict[str, Reply[OrderReport]]:
        self.asked.append("undo")
        answers: dict[str, Reply[OrderReport]] = {}
        for node in nodes:
            machine = self.machines[node]
            if not machine.reachable:
                answers[node] = Reply(None, "no answer")
                continue
            machine.tombstones.add(order_id)
            order = machine.order
            if order is None or order.order_id != order_id:
                order = OrderReport(order_id=order_id, phase=Phase.UNDONE)
            elif order.phase is not Phase.UNDONE:
                order = machine.take_back(order)
            machine.order = order
            answers[node] = Reply(order)
        return answers

    def status(self) -> dict[str, Reply[NodeStatus]]:
        return {
            node: Reply(m.status()) if m.reachable else Reply(None, "no answer")
            for node, m in self.machines.items()
        }

    def _is_drill(self, node: str) -> bool:
        order = self.machines[node].order
        return bool(order and order.fault and order.fault.kind is FaultKind.DRILL)
