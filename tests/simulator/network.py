"""Wires between Belay's processes and the guards: slow, cut, losing, doubling, delaying."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gamedays.drivers.guard_client import TIMEOUT_S, GuardClient
from tests.simulator.host import GuardHost
from tests.simulator.kernel import Future, Kernel, Process

LATENCY_S = 0.003


@dataclass
class Wire:
    """One node's connection, as Belay's processes share it."""

    cut_until: dict[str, float] = field(default_factory=dict)
    """Process name (or `*`) → when the cut heals."""
    deaf_until: float = 0.0
    """Requests arrive, answers do not come back."""
    faults: deque[tuple[str, float]] = field(default_factory=deque)
    """For the next messages: `lose`, `lose-answer`, `double` or `delay`, and seconds."""


@dataclass(frozen=True)
class Heard:
    """One answered request, as it went over the wire: what the checker trusts."""

    at: float
    node: str
    verb: str
    order_id: str
    status: int
    answer: dict[str, Any]


class Network:
    def __init__(self, kernel: Kernel, hosts: dict[str, GuardHost]) -> None:
        self.kernel = kernel
        self.hosts = hosts
        self.wires = {name: Wire() for name in hosts}
        self.heard: list[Heard] = []
        self.on_heard: Callable[[Heard], None] = lambda _heard: None

    def cut(self, node: str, process: str, seconds: float) -> None:
        self.wires[node].cut_until[process] = self.kernel.now + seconds

    def heal(self) -> None:
        for wire in self.wires.values():
            wire.cut_until.clear()
            wire.deaf_until = 0.0
            wire.faults.clear()

    def call(
        self, process: Process, node: str, verb: str, body: dict[str, object], deadline: float
    ) -> tuple[int, object]:
        """One exchange; OSError as a socket would raise it."""
        wire, host = self.wires[node], self.hosts[node]
        cut_until = max(wire.cut_until.get("*", 0.0), wire.cut_until.get(process.name, 0.0))
        kind, seconds = wire.faults.popleft() if wire.faults else ("", 0.0)
        payload = json.dumps(body)
        answer: Future[tuple[int, str]] = Future()
        if self.kernel.now < cut_until or kind == "lose" or not host.machine.up:
            pass
        elif kind == "delay":
            self.kernel.after(seconds, lambda: self._deliver(node, verb, payload, answer))
        else:
            self.kernel.after(LATENCY_S, lambda: self._deliver(node, verb, payload, answer))
        if kind == "double":
            again: Future[tuple[int, str]] = Future()
            self.kernel.after(seconds, lambda: self._deliver(node, verb, payload, again))
        left = max(0.0, deadline - self.kernel.now)
        if kind == "lose-answer" or self.kernel.now < wire.deaf_until:
            self.kernel.sleep(left)
            raise TimeoutError
        self.kernel.wait([answer], left)
        if not answer.done():
            raise TimeoutError
        status, text = answer.result()
        self.kernel.sleep(LATENCY_S)
        return status, json.loads(text)

    def _deliver(self, node: str, verb: str, payload: str, answer: Future[tuple[int, str]]) -> None:
        if not self.hosts[node].machine.up:
            return
        heard: Future[tuple[int, str]] = Future()

        def note() -> None:
            try:
                status, text = heard.result()
            except OSError as error:
                answer.set(None, error)
                return
            order_id = str(json.loads(payload).get("order_id", ""))
            one = Heard(self.kernel.now, node, verb, order_id, status, json.loads(text))
            self.heard.append(one)
            answer.set((status, text))
            self.on_heard(one)

        heard.told.append(note)
        self.hosts[node].ask(verb, payload, heard)


class Client(GuardClient):
    """The real client, with a wire of the simulator under it."""

    def __init__(self, network: Network, process: Process, node: str) -> None:
        # Nothing of a socket or a certificate: the parent's constructor is not called.
        self._network = network
        self._process = process
        self._node = node
        self._timeout_s = TIMEOUT_S
        self._lock = threading.Lock()
        self._session = ""
        self._sequence = 0
        self._ready = None

    def connect_ahead(self) -> None:
        """No handshake here."""

    def _exchange(self, verb: str, body: dict[str, object], deadline: float) -> tuple[int, object]:
        return self._network.call(self._process, self._node, verb, body, deadline)
