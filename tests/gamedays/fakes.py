"""The world at its edge, for the step functions: a clock that is moved by hand, guards that keep
orders in memory, a cluster that answers as told. Rows are real, on PostgreSQL."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from core.errors import ClusterRefused, ClusterUnreachable, NotFound
from core.lost_rows import RowsLostError
from gamedays.choices import InjectionState, PodSource
from gamedays.drivers.cluster import PodSighting
from gamedays.drivers.fleet import NodeStatus
from gamedays.execution.sampling import CENSUS_S
from gamedays.execution.world import PodCensus, Run, Sample, World
from gamedays.journal import Journal
from gamedays.models import Probe
from gamedays.probes.base import ProbeSpec
from gamedays.scenarios.plan import Endpoint, ObjectFault, ObjectTarget
from guard.protocol import Credential
from tests.gamedays.fake_guards import FakeGuards, FakeNode

__all__ = [
    "FakeClock",
    "FakeCluster",
    "FakeGuards",
    "FakeNode",
    "FakeWatch",
    "FakeWorld",
    "FlakyRows",
]


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


class FakeCluster:
    def __init__(self, guards: FakeGuards) -> None:
        self.uid = guards.uid
        self.control_plane = guards.nodes
        self.refusal = ""
        self.services: dict[str, tuple[Endpoint, ...]] = {}
        self.objects: dict[str, ObjectTarget] = {}
        self.accounts: set[str] = set()
        self.out_of_reach: set[str] = set()
        """Addresses that nothing but the cluster itself can reach."""
        self.not_as_before = False
        self.lacks_rights = ""
        self.may_not_mint = ""
        self.may_not_unmint = ""
        self.ended_pods: list[str] = []
        self.keeps_pods = ""
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

    def reached(self, endpoints: Iterable[Endpoint]) -> frozenset[Endpoint]:
        dropped = {place for one in self._guards.machines.values() for place in one.dropped}
        return frozenset(
            one
            for one in endpoints
            if (one.address, one.port) not in dropped and one.address not in self.out_of_reach
        )

    def read_target(self, fault: ObjectFault) -> tuple[ObjectTarget, ...]:
        target = self.objects.get(f"{fault.namespace}/{fault.name}")
        if target is None:
            raise NotFound(f"There is no {fault.kind} {fault} in this cluster.")
        return (target,)

    def fingerprint(self, targets: Iterable[ObjectTarget]) -> dict[str, dict[str, Any]]:
        changed = any(machine.changes_objects() for machine in self._guards.machines.values())
        content = "changed" if changed or self.not_as_before else "before"
        return {
            f"{one.kind} {one.namespace}/{one.name}": {"uid": one.uid, "sha256": content}
            for one in targets
        }

    def ready_like(self, namespace: str, owner_uid: str) -> int:
        return 1

    def require_mintable(self, targets: Iterable[ObjectTarget]) -> None:
        if self.lacks_rights:
            raise ClusterRefused(self.lacks_rights)

    def mint(self, order_id: str, targets: Iterable[ObjectTarget], lives_s: int) -> Credential:
        if self.may_not_mint:
            raise ClusterRefused(self.may_not_mint)
        assert list(targets)
        self.accounts.add(order_id)
        return Credential(
            server="https://127.0.0.1:1",
            ca_pem="BEGIN CERTIFICATE",
            token="token",
            name=f"belay-run-{order_id[:8]}",
            expires_at="2030-01-01T00:00:00+00:00",
        )

    def end_pod(self, order_id: str, target: ObjectTarget) -> None:
        assert order_id in self.accounts, "without an account of the run"
        if self.keeps_pods:
            raise ClusterRefused(self.keeps_pods)
        self.ended_pods.append(target.uid)

    def unmint(self, order_id: str) -> None:
        if self.may_not_unmint:
            raise ClusterUnreachable(self.may_not_unmint)
        self.accounts.discard(order_id)


class FakeWatch:
    """One good sample a second for every probe, except where a test says otherwise."""

    def __init__(self, clock: FakeClock, guards: FakeGuards, probes: Iterable[Probe]) -> None:
        self._clock = clock
        self._guards = guards
        self._last: dt.datetime | None = None
        self._counted_at = float("-inf")
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
        """As often as the real watch counts: each count costs the journal a transaction."""
        now = self._clock.monotonic()
        if self._last is None or now - self._counted_at < CENSUS_S:
            return None
        self._counted_at = now
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
