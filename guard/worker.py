"""The worker: the undo loop in a thread of its own, the server beside it.

The loop never waits for a client: requests only change the order under a lock and wake it. When
anything unexpected happens to it the whole worker ends, and the parent starts a new one that goes
on from the journal.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable

from guard.clock import NodeClock
from guard.disk import NodeDisk
from guard.health import HealthWatch
from guard.heartbeat import Heartbeat
from guard.journal import Journal
from guard.local import lock_state, take_asks
from guard.log import log
from guard.nft import NftRules
from guard.node import RealNode
from guard.orders import Orders
from guard.peers import server_context
from guard.policy import Paths, load_policy
from guard.protocol import UndoReason
from guard.server import Server
from guard.status import StatusLook
from guard.verbs import Verbs

EXIT_BUG = 70
STOP_GRACE_S = 25.0
"""The kubelet gives 30 s; by then the manifest is back, or the next worker goes on."""
_LOCK_POLL_S = 0.2


class Worker:
    """One guard process: `run` returns when it was told to stop and nothing is live."""

    def __init__(self, paths: Paths, pipe: int | None) -> None:
        self._paths = paths
        policy = load_policy(paths.policy)
        self._clock = NodeClock()
        self._heartbeat = Heartbeat(paths.heartbeat, pipe, self._clock)
        node, rules = RealNode(paths), NftRules()
        self._orders = Orders(
            policy=policy,
            journal=Journal(NodeDisk(), paths.state),
            node=node,
            clock=self._clock,
            session=os.urandom(16).hex(),
            rules=rules,
        )
        health = HealthWatch(node.manifests.read_text, policy.address)
        look = StatusLook(self._orders, node, health, self._clock, rules)
        verbs = Verbs(self._orders, node, look)
        server = Server(policy, server_context(paths, policy), verbs.handle)
        self._health = health
        self._stop = threading.Event()
        self._server = threading.Thread(target=_fatal(server.serve), name="server", daemon=True)
        self._undoer = threading.Thread(target=_fatal(self._undo_loop), name="undo", daemon=True)

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        # Two workers (one orphaned by a killed parent) must never act on one node.
        while (lock := lock_state(self._paths.state, wait=False)) is None:
            self._heartbeat.beat()
            if self._stop.wait(_LOCK_POLL_S):
                return
        log("worker started", pid=os.getpid(), lock=lock)
        self._orders.start()
        self._server.start()
        self._undoer.start()
        self._health.start()
        self._stop.wait()
        self._leave()

    def _undo_loop(self) -> None:
        while True:
            take_asks(self._paths.state, self._orders)
            # The server must be there too, or this worker is of no use and should be replaced.
            if self._server.is_alive() and not self._heartbeat.beat() and not self._stop.is_set():
                log("the parent is gone: undoing and leaving")
                self._stop.set()
            self._orders.rest(self._orders.advance())

    def _leave(self) -> None:
        """Whoever stops the guard takes the dead-man switch away, so what is live is undone."""
        log("stopping")
        self._orders.undo_all(UndoReason.LOCAL)
        until = time.monotonic() + STOP_GRACE_S
        with self._orders.changed:
            self._orders.changed.wait_for(self._nothing_live, until - time.monotonic())
        order = self._orders.order
        log("stopped", phase=order.phase if order else None)

    def _nothing_live(self) -> bool:
        order = self._orders.order
        return order is None or not order.live


def _fatal(target: Callable[[], None]) -> Callable[[], None]:
    """A thread that fails takes the worker with it: better a fresh start than half a guard."""

    def run() -> None:
        try:
            target()
        except BaseException:  # noqa: BLE001  whatever it was, the process ends
            log("thread failed", error=traceback.format_exc())
            os._exit(EXIT_BUG)

    return run
