"""The world at its edge, for the step functions: a clock that is moved by hand, guards that keep
orders in memory, a cluster that answers as told. Rows are real, on PostgreSQL."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from core.errors import ClusterRefused, NotFound
from gamedays.choices import InjectionState, PodSource
from gamedays.drivers.cluster import PodSighting
from gamedays.drivers.fleet import NodeStatus, OrderReport, Phase, Reply
from gamedays.execution.world import PodCensus, RowsLostError, Run, Sample, World
from gamedays.journal import Journal
from gamedays.models import Probe
from gamedays.probes.base import ProbeSpec
from gamedays.scenarios.plan import Endpoint, NodeFault
from guard.protocol import (
    Armed,
    Boot,
    Component,
    ComponentStatus,
    EtcdMember,
    Fault,
    FaultKind,
    Hello,
    ManifestInfo,
    ProcessInfo,
)

_BOOT = Boot(boot_id="b", init_started_ticks=1)


class FakeClock:
    def __init__(self) -> None:
        self.at = dt.datetime.now(dt.UTC)
        self.ticks = 1000.0

    def monotonic(self) -> float:
        return self.ticks

    def now(self) -> dt.datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += dt.timedelta(seconds=seconds)
        self.ticks += seconds


@dataclass
class FakeNode:
    """One node with its guard: the truth that the rows are held against."""

    name: str
    pids: dict[str, int] = field(
        default_factory=lambda: {one: 10 * at for at, one in enumerate(Component, 1)}
    )
    order: OrderReport | None = None
    injections: int = 0
    reachable: bool = True
    healthy: bool = True
    tombstones: set[str] = field(default_factory=set)

    def status(self) -> NodeStatus:
        return NodeStatus(
            node=self.name,
            boot=_BOOT,
            observed_at="",
            order=self.order,
            components=[
                ComponentStatus(
                    component=component,
                    processes=[ProcessInfo(pid=pid, started_ticks=pid)] if pid else [],
                    manifest=None
                    if self.fault_is_on(component)
                    else ManifestInfo(path=component, sha256="a", mode=384, uid=0, gid=0),
                    healthy=bool(pid) and self.healthy,
                    etcd=EtcdMember(
                        member_id=f"m-{self.name}", has_leader=bool(pid), is_leader=False
                    )
                    if component is Component.ETCD
                    else None,
                )
                for component in Component
                for pid in [self.pids[component]]
            ],
            pod_uids=[],
        )

    def fault_is_on(self, component: str | None = None) -> bool:
        order = self.order
        return bool(
            order
            and order.fault
            and order.fault.kind is FaultKind.HOLD
            and order.phase in (Phase.INJECTED, Phase.INJECTING)
            and component in (None, order.fault.component)
        )


class FakeGuards:
    def __init__(self, nodes: Iterable[str], cluster_uid: uuid.UUID) -> None:
        self.machines = {name: FakeNode(name) for name in nodes}
        self.uid = cluster_uid
        self.renewals = 0
        self.asked: list[str] = []

    @property
    def nodes(self) -> list[str]:
        return sorted(self.machines)

    def hello(self) -> dict[str, Reply[Hello]]:
        return {
            node: Reply(
                Hello(
                    protocol=2,
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

    def arm(self, order_id: str, faults: Mapping[str, NodeFault]) -> dict[str, Reply[Armed]]:
        self.asked.append("arm")
        answers: dict[str, Reply[Armed]] = {}
        for node, fault in faults.items():
            machine = self.machines[node]
            if not machine.reachable:
                answers[node] = Reply(None, "no answer")
                continue
            assert order_id not in machine.tombstones
            machine.order = OrderReport(
                order_id=order_id,
                phase=Phase.ARMED,
                fault=Fault(
                    kind=FaultKind(fault.kind),
                    component=Component(fault.component or ""),
                    hold_s=fault.hold_s,
                ),
                order_sha256="h",
            )
            answers[node] = Reply(Armed(report=machine.order, stored_sha256="h"))
        return answers

    def inject(self, order_id: str, nodes: Iterable[str]) -> dict[str, Reply[OrderReport]]:
        self.asked.append("inject")
        answers: dict[str, Reply[OrderReport]] = {}
        for node in nodes:
            machine = self.machines[node]
            order = machine.order
            if not machine.reachable or order is None or order_id in machine.tombstones:
                answers[node] = Reply(None, "refused")
                continue
            assert order.phase is Phase.ARMED, "injected twice, or without arming"
            assert order.fault
            machine.injections += 1
            assert order.fault.component
            component = order.fault.component
            old = machine.pids[component]
            machine.pids[component] = 0 if order.fault.kind is FaultKind.HOLD else old + 100
            machine.order = replace(
                order,
                phase=Phase.INJECTED,
                bitten=True,
                injected_at="now",
                processes_before=[ProcessInfo(pid=old, started_ticks=old)],
            )
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
                assert order.fault
                assert order.fault.component
                if not machine.pids[order.fault.component]:
                    machine.pids[order.fault.component] = 500
                order = replace(order, phase=Phase.UNDONE, undone_at="now")
            machine.order = order
            answers[node] = Reply(order)
        return answers

    def status(self) -> dict[str, Reply[NodeStatus]]:
        return {
            node: Reply(m.status()) if m.reachable else Reply(None, "no answer")
            for node, m in self.machines.items()
        }


class FakeCluster:
    def __init__(self, guards: FakeGuards) -> None:
        self.uid = guards.uid
        self.control_plane = guards.nodes
        self.refusal = ""
        self.services: dict[str, tuple[Endpoint, ...]] = {}
        self._guards = guards

    def require_marker(self) -> None:
        if self.refusal:
            raise ClusterRefused(self.refusal)

    def canary(self, node: str) -> str:
        machine = self._guards.machines[node]
        return "" if all(machine.pids.values()) else "no answer"

    def readyz(self, node: str | None) -> str:
        return ""

    def service_endpoints(self, namespace: str, name: str) -> tuple[Endpoint, ...]:
        places = self.services.get(f"{namespace}/{name}")
        if places is None:
            raise NotFound(f"There is no service {namespace}/{name} in this cluster.")
        return places


class FakeWatch:
    """One good sample a second for every probe, except where a test says otherwise."""

    def __init__(self, clock: FakeClock, guards: FakeGuards, probes: Iterable[Probe]) -> None:
        self._clock = clock
        self._guards = guards
        self._last: dt.datetime | None = None
        self.failing: dict[str, int] = {}
        self.silent: set[str] = set()
        self.pods = tuple(
            PodSighting(
                uid=f"pod-{node}",
                node=node,
                namespace="default",
                name=f"shop-{node}",
                phase="Running",
                ready=True,
                restarts=0,
            )
            for node in guards.nodes
        )
        self.probes = tuple(
            ProbeSpec(
                id=p.pk,
                key=p.key,
                title=p.title,
                kind=p.kind,
                target=p.target,
                parameters={},
                attempts=p.attempts,
                timeout_s=1,
                felt_by_users=p.felt_by_users,
                abort_after_s=p.abort_after_s,
            )
            for p in probes
        )

    def start(self) -> None:
        self._last = self._last or self._clock.now()

    def stop(self) -> None: ...

    def drain_samples(self) -> list[Sample]:
        samples = []
        while self._last is not None and self._last < self._clock.now():
            faulty = any(m.fault_is_on() for m in self._guards.machines.values())
            for probe in self.probes:
                failed = self.failing.get(probe.key, 0) if faulty else 0
                attempts = 0 if probe.key in self.silent else probe.attempts
                samples.append(
                    Sample(
                        probe_id=probe.id,
                        at=self._last,
                        passed=max(0, attempts - failed),
                        attempts=attempts,
                        latency_ms=3.0,
                        detail="",
                    )
                )
            self._last += dt.timedelta(seconds=1)
        return samples

    def drain_census(self) -> PodCensus | None:
        if self._last is None:
            return None
        return PodCensus(at=self._clock.now(), source=PodSource.API, pods=self.pods)

    def node_status(self, node: str) -> NodeStatus | None:
        machine = self._guards.machines[node]
        return machine.status() if machine.reachable else None


class FlakyRows(Journal):
    """The real journal, with a database that can go away: before a write, or after it."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.lose_answer_to: str = ""

    def read(self, injection_id: uuid.UUID, fence: int) -> Run | None:
        self._check()
        return super().read(injection_id, fence)

    def renew(self, injection_id: uuid.UUID, fence: int) -> bool:
        self._check()
        return super().renew(injection_id, fence)

    def move(self, run: Run, to: InjectionState, **changes: Any) -> Run | None:
        self._check()
        moved = super().move(run, to, **changes)
        if to == self.lose_answer_to:
            self.lose_answer_to = ""
            raise RowsLostError("the answer to COMMIT was lost")
        return moved

    def _check(self) -> None:
        if self.away:
            raise RowsLostError("the database is away")


@dataclass
class FakeWorld:
    clock: FakeClock
    rows: FlakyRows
    guards: FakeGuards
    cluster: FakeCluster
    watch: FakeWatch

    def world(self) -> World:
        return World(
            clock=self.clock,
            rows=self.rows,
            guards=self.guards,
            cluster=self.cluster,
            watch=self.watch,
        )

    def fault_is_on(self) -> bool:
        return any(machine.fault_is_on() for machine in self.guards.machines.values())
