"""The world as the step functions see it. Everything with an effect is behind these protocols,
so that a simulator can hand in its own clock, guards, cluster and rows and run the real code.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from gamedays.choices import EntryKind, InjectionState, PodSource, Verdict
    from gamedays.drivers.cluster import PodSighting
    from gamedays.drivers.fleet import Armed, Credential, Hello, NodeStatus, OrderReport, Reply
    from gamedays.execution.rehearsal import Rehearsed
    from gamedays.probes.base import ProbeSpec
    from gamedays.scenarios.plan import Endpoint, NodeFault, ObjectFault, ObjectTarget

GUARD_LEASE_S = 45.0
"""A guard undoes when nobody renewed for so long (ARCHITECTURE.md, “The engine”)."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """An injection's row, as read just now."""

    id: uuid.UUID
    state: InjectionState
    scenario_key: str
    scenario_version: int
    parameters: Mapping[str, Any]
    due_at: dt.datetime
    recipe: Mapping[str, Any]
    fingerprint: Mapping[str, Any]
    doubt: str
    reason: str
    marks: Mapping[str, dt.datetime]
    """Times of `armed`, `injecting`, `bitten`, `undo_asked`, `undone`, `restored`."""
    abort_requested_at: dt.datetime | None
    abort_requested_by: str
    fence: int

    @property
    def order_id(self) -> str:
        return str(self.id)


@dataclass(frozen=True, kw_only=True)
class Sample:
    probe_id: int
    at: dt.datetime
    passed: int
    attempts: int
    latency_ms: float | None
    detail: str


@dataclass(frozen=True, kw_only=True)
class PodCensus:
    """All pods that one look saw. `complete` is False when a node could not be looked at."""

    at: dt.datetime
    source: PodSource
    pods: tuple[PodSighting, ...]
    unseen_nodes: tuple[str, ...] = ()


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds; only differences mean anything."""

    def now(self) -> dt.datetime:
        """Wall time, for people and for marks on the timeline."""


class Rows(Protocol):
    """The database. Every method raises `RowsLostError` when it does not answer within 5 s."""

    def read(self, injection_id: uuid.UUID, fence: int) -> Run | None:
        """The row, or None when `fence` is no longer the newest: somebody took over."""

    def renew(self, injection_id: uuid.UUID, fence: int) -> bool:
        """Count the lease up; False when the fence is stale."""

    def move(
        self,
        run: Run,
        to: InjectionState,
        *,
        text: str,
        kind: EntryKind | None = None,
        data: Mapping[str, Any] | None = None,
        unless_aborted: bool = False,
        **changes: Any,
    ) -> Run | None:
        """Compare-and-set on state and fence (and, if asked, on nobody having aborted), with its
        timeline entry; None when it lost."""

    def write_entry(
        self, run: Run, *, kind: EntryKind, text: str, data: Mapping[str, Any] | None = None
    ) -> None: ...

    def write_samples(self, run: Run, samples: Iterable[Sample]) -> None: ...

    def write_census(self, run: Run, census: PodCensus) -> None: ...

    def write_rehearsals(self, run: Run, results: Iterable[Rehearsed]) -> None:
        """Store how the undo rehearsal went on each node."""

    def unrehearsed(self, run: Run, nodes: Iterable[str]) -> list[str]:
        """Those of `nodes` whose newest rehearsal was not in this gameday, did not succeed, or is
        older than policy allows."""

    def close(self, run: Run, at: dt.datetime) -> Run | None:
        """End the run at `at`, in one transaction: judge it, draft findings, evaluate the
        re-verification that it was, release the slot."""

    def give_up(self, injection_id: uuid.UUID, fence: int) -> None:
        """Say that this conductor stops; a watchdog may take over at once."""


class Guards(Protocol):
    @property
    def nodes(self) -> list[str]: ...
    def hello(self) -> dict[str, Reply[Hello]]: ...
    def arm(
        self,
        order_id: str,
        faults: Mapping[str, NodeFault],
        credential: Credential | None = None,
        *,
        lease_s: float = GUARD_LEASE_S,
    ) -> dict[str, Reply[Armed]]: ...
    def inject(self, order_id: str, nodes: Iterable[str]) -> dict[str, Reply[OrderReport]]: ...
    def renew(self, order_id: str, nodes: Iterable[str]) -> dict[str, Reply[OrderReport]]: ...
    def undo(self, order_id: str, nodes: Iterable[str]) -> dict[str, Reply[OrderReport]]: ...
    def status(self) -> dict[str, Reply[NodeStatus]]: ...


class ClusterPort(Protocol):
    """The cluster's API, as far as the engine needs it."""

    uid: uuid.UUID
    control_plane: list[str]

    def require_marker(self) -> None:
        """`ClusterRefused` or `ClusterUnreachable` unless it is the marked QA cluster."""

    def canary(self, node: str) -> str:
        """Write and read through that node's own API server; empty when it worked, else why."""

    def readyz(self, node: str | None) -> str:
        """`/readyz` of one API server (None: the common address); empty when ready, else why."""

    def service_endpoints(self, namespace: str, name: str) -> tuple[Endpoint, ...]:
        """Everywhere that packets to a Service go, before and after the nodes translate them:
        cluster addresses, node ports, pods. `NotFound` or `ClusterUnreachable`."""

    def reached(self, endpoints: Iterable[Endpoint]) -> frozenset[Endpoint]:
        """Those that a packet from Belay's own machine reaches and comes back from."""

    def read_target(self, fault: ObjectFault) -> tuple[ObjectTarget, ...]:
        """The objects that a name stands for now, each with its version. `NotFound`,
        `ClusterRefused` (may not be a target) or `ClusterUnreachable`."""

    def fingerprint(self, targets: Iterable[ObjectTarget]) -> dict[str, dict[str, Any]]:
        """How the targets are, as comparable data, and how many pods like them are ready.
        `NotFound`, `ClusterRefused` or `ClusterUnreachable`."""

    def ready_like(self, namespace: str, owner_uid: str) -> int:
        """How many ready pods of one owner there are. `ClusterRefused`, `ClusterUnreachable`."""

    def require_mintable(self, targets: Iterable[ObjectTarget]) -> None:
        """Return where an account for exactly these objects could be made; looks only.
        `ClusterRefused` with the rights that are missing, or `ClusterUnreachable`."""

    def mint(self, order_id: str, targets: Iterable[ObjectTarget], lives_s: int) -> Credential:
        """An account that may do exactly what changing and restoring these objects needs, with a
        token that lives so long. `ClusterRefused` or `ClusterUnreachable`."""

    def end_pod(self, order_id: str, target: ObjectTarget) -> None:
        """Delete exactly that pod with the account that this process minted for the order.
        `ClusterRefused` (nothing of that UID, no such right) or `ClusterUnreachable`."""

    def unmint(self, order_id: str) -> None:
        """Remove the account; nothing to remove is no error. `ClusterRefused` or
        `ClusterUnreachable` where something is left: call again."""


class Watch(Protocol):
    """Samples probes and pods beside the conductor, until stopped."""

    @property
    def probes(self) -> tuple[ProbeSpec, ...]: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def drain_samples(self) -> list[Sample]: ...
    def drain_census(self) -> PodCensus | None: ...
    def node_status(self, node: str) -> NodeStatus | None: ...


@dataclass(frozen=True, kw_only=True)
class World:
    clock: Clock
    rows: Rows
    guards: Guards
    cluster: ClusterPort
    watch: Watch


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a run was worth, with the figures."""

    verdict: Verdict
    reason: str
    lines: list[dict[str, Any]] = field(default_factory=list)
