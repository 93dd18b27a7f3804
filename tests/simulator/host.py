"""The guard on one node: the real rules and verbs in a worker that its parent restarts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from guard.health import Health
from guard.journal import Journal
from guard.kube import ObjectApi
from guard.orders import Orders
from guard.protocol import Component, EtcdMember, Policy, Refusal, Role, to_json
from guard.record import tombstone_report
from guard.status import StatusLook
from guard.verbs import Verbs
from guard.world import RefusedError
from tests.simulator.kernel import Condition, Future, Kernel, Process
from tests.simulator.machine import Machine

STATE = Path("/var/lib/belay-guard")
ORDER_FILE = STATE / "order.json"
TOMBSTONES = STATE / "tombstones"
PARENT_RESTARTS_S = 0.1
STALL_S = 10.0
"""The parent ends a worker that shows no life for so long (a stopped one, say)."""
BOOT_TO_GUARD_S = 6.0
"""From power on to the static pod that the kubelet starts without an API."""


class NodeClock:
    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def boottime(self) -> float:
        return self._machine.boottime

    def wall(self) -> str:
        return f"t+{self._machine.kernel.now:.3f}"


class LocalHealth:
    """What the components' own health endpoints say; etcd's needs a quorum."""

    def __init__(self, machine: Machine, peers: list[Machine]) -> None:
        self._machine = machine
        self._peers = peers

    def latest(self) -> dict[Component, Health]:
        return {one: self._of(one) for one in Component}

    def _of(self, one: Component) -> Health:
        if one not in self._machine.components:
            return Health(healthy=None, detail="it does not run here as a static pod")
        healthy = serves(self._machine, one, self._peers)
        if one is not Component.ETCD:
            return Health(healthy=healthy, detail="" if healthy else "no answer")
        member = EtcdMember(
            member_id=f"member-{self._machine.name}", has_leader=healthy, is_leader=False
        )
        return Health(healthy=healthy, etcd=member if self._machine.serves(one) else None)


def quorum(peers: list[Machine]) -> bool:
    return sum(peer.serves(Component.ETCD) for peer in peers) * 2 > len(peers)


def serves(machine: Machine, one: Component, peers: list[Machine]) -> bool:
    """Does the component work: its process, and what it stands on?"""
    if not machine.serves(one):
        return False
    if one is Component.ETCD:
        return quorum(peers)
    if one is Component.KUBE_APISERVER:
        return machine.serves(Component.ETCD) and quorum(peers)
    return True


class GuardHost:
    """One node's guard, worker after worker, on the same disk."""

    def __init__(
        self,
        kernel: Kernel,
        machine: Machine,
        peers: list[Machine],
        policy: Policy,
        objects: ObjectApi,
    ) -> None:
        self.kernel = kernel
        self.machine = machine
        self.policy = policy
        self.objects = objects
        self.workers = 0
        self.says_undone = False
        """Answers every undo with `undone`, and does nothing."""
        self.down: list[tuple[float, float]] = []
        """From, until: when no worker ran. The dead-man switch cannot act then."""
        self._down_since: float | None = None
        self._absent_until = 0.0
        self._peers = peers
        machine.order_now = self._order_now
        self.start()

    def start(self) -> None:
        """The parent starts a worker: a new session, the same disk."""
        if not self.machine.up:
            return
        self.workers += 1
        self.process = Process(self.kernel, f"guard:{self.machine.name}")
        self.process.on_death.append(self._died)
        self.orders = Orders(
            policy=self.policy,
            journal=Journal(self.machine.disk, STATE),
            node=self.machine,
            clock=NodeClock(self.machine),
            rules=self.machine.rules,
            objects=self.objects,
            session=f"session-{self.machine.name}-{self.workers}",
        )
        self.orders.changed = Condition(self.kernel)  # type: ignore[assignment]
        self.orders.doing = Condition(self.kernel)  # type: ignore[assignment]
        health: Any = LocalHealth(self.machine, self._peers)
        node: Any = self.machine
        self.look = StatusLook(
            self.orders, node, health, NodeClock(self.machine), self.machine.rules
        )
        self.verbs = Verbs(self.orders, node, self.look)
        self.process.spawn(self._work)

    def _work(self) -> None:
        self.orders.start()
        self.came_back()
        while True:
            self.orders.rest(self.orders.advance())

    # -- what happens to it -----------------------------------------------------------------------

    def kill(self) -> None:
        self.process.kill()

    def go_away(self, seconds: float) -> None:
        """Killed with its parent, and the kubelet starts nothing for so long."""
        self._absent_until = self.kernel.now + seconds
        self.process.kill()
        self.kernel.after(seconds, self.start_if_none)

    def stop(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT later, if its parent has not ended it before."""
        worker = self.process
        if not worker.runs:
            return
        self._went_away()
        self.kernel.after(min(seconds, STALL_S), self._continue_or_end(worker, seconds))
        worker.stop()

    def _continue_or_end(self, worker: Process, seconds: float) -> Any:
        def act() -> None:
            if not worker.alive:
                return
            if seconds > STALL_S:
                worker.kill()
            else:
                self.came_back()
                worker.go_on()

        return act

    def _died(self) -> None:
        self._went_away()
        if self.machine.up:
            self.kernel.after(PARENT_RESTARTS_S, self.start_if_none)

    def start_if_none(self) -> None:
        if not self.process.alive and self.kernel.now >= self._absent_until:
            self.start()

    def reboot(self, down_s: float, *, lucky: bool) -> None:
        """Power cut, and power on after `down_s`."""
        if not self.machine.up:
            return
        self.machine.power_cut(lucky=lucky)

        def on() -> None:
            self.machine.power_on()
            self.kernel.after(BOOT_TO_GUARD_S, self.start_if_none)

        self.kernel.after(down_s, on)
        self.process.kill()

    def _went_away(self) -> None:
        if self._down_since is None:
            self._down_since = self.kernel.now

    def came_back(self) -> None:
        if self._down_since is not None:
            self.down.append((self._down_since, self.kernel.now))
            self._down_since = None

    def was_down_s(self, since: float, until: float) -> float:
        """Seconds between the two in which no worker could act."""
        spans = [*self.down]
        if self._down_since is not None:
            spans.append((self._down_since, until))
        return sum(max(0.0, min(b, until) - max(a, since)) for a, b in spans)

    # -- requests ---------------------------------------------------------------------------------

    def ask(self, verb: str, payload: str, answer: Future[tuple[int, str]]) -> None:
        """A request arrived: a thread of the worker answers it, as far as it lives."""

        def serve() -> None:
            if self.says_undone and verb == "undo":
                order_id = str(json.loads(payload)["order_id"])
                answer.set(to_text(200, to_json(tombstone_report(order_id, "so it says"))))
                return
            try:
                told = to_text(200, self.verbs.handle(Role.FULL, verb, json.loads(payload)))
            except RefusedError as refused:
                told = to_text(409, to_json(Refusal(code=refused.code, detail=refused.detail)))
            answer.set(told)

        worker = self.process
        if not worker.alive:
            answer.set(None, ConnectionRefusedError("nobody listens"))
            return
        worker.on_death.append(lambda: answer.set(None, ConnectionResetError("the worker died")))
        worker.spawn(serve)

    def _order_now(self) -> str:
        order = self.orders.order
        return order.order_id if order is not None else ""


def to_text(status: int, answer: object) -> tuple[int, str]:
    return status, json.dumps(answer)
