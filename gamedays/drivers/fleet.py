"""All guards of a cluster at once: every call goes out to every node at the same moment.

The rest of the engine speaks of guards only through this module and the protocol's words that
it hands on.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from core.errors import DomainError
from gamedays.drivers.guard_client import GuardClient, GuardError
from guard.protocol import (
    LEASE_S,
    Armed,
    BadFlag,
    Component,
    ComponentStatus,
    Credential,
    Endpoint,
    Fault,
    FaultKind,
    Hello,
    ManifestInfo,
    NodeStatus,
    ObjectChange,
    ObjectKind,
    ObjectTarget,
    OrderReport,
    Phase,
    ProcessInfo,
    UndoReason,
)

if TYPE_CHECKING:
    from gamedays.models import Guard
    from gamedays.scenarios.plan import NodeFault

T = TypeVar("T")
_PROTOCOL_1 = (
    frozenset({FaultKind.HOLD, FaultKind.KILL}),
    frozenset({Component.ETCD, Component.KUBE_APISERVER}),
)
"""What guards of the first protocol version could break."""
_CALL_S = 2.0
_INJECT_S = 6.0
_RENEW_S = 0.0


@dataclass(frozen=True)
class Reply(Generic[T]):
    """One guard's answer, or why there is none; never both."""

    value: T | None
    error: str = ""

    @property
    def ok(self) -> bool:
        return self.value is not None


class Fleet:
    """The guards of one cluster, by node name. Calls are parallel; each has its own deadline."""

    def __init__(self, clients: Mapping[str, GuardClient], *, epoch: int) -> None:
        self._clients = dict(clients)
        self._epoch = epoch
        # Twice as many threads as guards: an undo never waits behind a look that hangs.
        self._pool = ThreadPoolExecutor(max(2, 4 * len(self._clients)), "guards")

    @property
    def nodes(self) -> list[str]:
        return sorted(self._clients)

    def hello(self) -> dict[str, Reply[Hello]]:
        return self._all(self._clients, lambda node: self._clients[node].hello())

    def arm(
        self,
        order_id: str,
        faults: Mapping[str, NodeFault],
        credential: Credential | None = None,
        *,
        lease_s: float = LEASE_S,
    ) -> dict[str, Reply[Armed]]:
        """Arm every node in `faults`, after a fresh hello for its session. The credential goes
        only with a change of objects; `lease_s` is how long a guard waits for a renewal."""

        def arm_one(node: str) -> Armed:
            client, fault = self._clients[node], faults[node]
            problem = too_old(node, client.hello(), fault)
            if problem:
                raise GuardError(problem.rstrip("."))
            given = credential if fault.kind == "object" else None
            armed = client.arm(order_id, _fault(fault), self._epoch, given, lease_s=lease_s)
            client.connect_ahead()
            return armed

        by_api = any(fault.objects for fault in faults.values())
        return self._all(faults, arm_one, patience_s=_INJECT_S if by_api else _CALL_S)

    def inject(self, order_id: str, nodes: Iterable[str]) -> dict[str, Reply[OrderReport]]:
        return self._all(
            nodes, lambda node: self._clients[node].inject(order_id), patience_s=_INJECT_S
        )

    def renew(self, order_id: str, nodes: Iterable[str]) -> dict[str, Reply[OrderReport]]:
        # Half a second of patience: a silent guard must not keep an abort from the others. Its
        # renewal is still under way, and the lease is nine renewals long.
        return self._all(
            nodes, lambda node: self._clients[node].renew(order_id), patience_s=_RENEW_S
        )

    def undo(self, order_id: str, nodes: Iterable[str]) -> dict[str, Reply[OrderReport]]:
        return self._all(nodes, lambda node: self._clients[node].undo(order_id))

    def status(self) -> dict[str, Reply[NodeStatus]]:
        return self._all(self._clients, lambda node: self._clients[node].status())

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for client in self._clients.values():
            client.close()

    def _all(
        self, nodes: Iterable[str], call: Callable[[str], T], *, patience_s: float = _CALL_S
    ) -> dict[str, Reply[T]]:
        calls: dict[str, Future[T]] = {}
        answers: dict[str, Reply[T]] = {}
        for node in nodes:
            if node in self._clients:
                calls[node] = self._pool.submit(call, node)
            else:
                answers[node] = Reply(None, f"there is no guard on {node}")
        wait(calls.values(), timeout=patience_s + 0.5)
        for node, future in calls.items():
            if not future.done():
                future.cancel()
                answers[node] = Reply(None, f"the guard on {node} did not answer in time")
                continue
            try:
                answers[node] = Reply(future.result())
            except GuardError as error:
                answers[node] = Reply(None, str(error))
        return answers


def ask_each(
    guards: Iterable[Guard], ask: Callable[[Fleet], dict[str, Reply[T]]], *, undo_only: bool = False
) -> dict[str, Reply[T]]:
    """Ask all of these guards the same thing at once, by node: `Fleet.hello`, `Fleet.status`.

    However many of them are silent, it takes one deadline. `undo_only`: with the credential that
    can undo and look, and no more.
    """
    clients: dict[str, GuardClient] = {}
    answers: dict[str, Reply[T]] = {}
    for guard in guards:
        try:
            clients[guard.node.name] = GuardClient.for_guard(guard, undo_only=undo_only)
        except (DomainError, ValueError, ssl.SSLError) as error:
            # One key that cannot be read must not hide what the other guards say.
            answers[guard.node.name] = Reply(None, f"its stored key cannot be used: {error}")
    fleet = Fleet(clients, epoch=0)
    try:
        return answers | ask(fleet)
    finally:
        fleet.close()


def too_old(node: str, hello: Hello, fault: NodeFault) -> str:
    """Why the guard on `node` cannot do this fault: it speaks an older protocol. Empty: it can.

    Asked before arming only: an undo is understood by guards of every version.
    """
    kinds, components = _PROTOCOL_1
    needed = 1 if fault.kind in kinds and fault.component in components else 2
    if hello.protocol >= needed:
        return ""
    return (
        f"The guard on {node} (version {hello.version}) speaks protocol {hello.protocol}, but a "
        f"fault of kind “{fault.kind}” needs {needed}. Update the guards with `manage.py guard "
        "install CLUSTER`."
    )


def _fault(fault: NodeFault) -> Fault:
    # A bad flag's component is the guard's to know; we keep it to judge what was hit.
    component = None if fault.flag else fault.component
    return Fault(
        kind=FaultKind(fault.kind),
        hold_s=fault.hold_s,
        component=Component(component) if component else None,
        flag=BadFlag(fault.flag) if fault.flag else None,
        endpoints=[Endpoint(address=each.address, port=each.port) for each in fault.endpoints],
        objects=[
            ObjectTarget(
                kind=ObjectKind(each.kind),
                namespace=each.namespace,
                name=each.name,
                uid=each.uid,
                resource_version=each.resource_version,
                change=ObjectChange(each.change),
                key=each.key,
            )
            for each in fault.objects
        ],
    )


__all__ = [
    "Armed",
    "Component",
    "ComponentStatus",
    "Credential",
    "Fleet",
    "Hello",
    "ManifestInfo",
    "NodeStatus",
    "OrderReport",
    "Phase",
    "ProcessInfo",
    "Reply",
    "UndoReason",
    "ask_each",
    "too_old",
]
