"""What somebody on the node asks of the guard, with no network and no key: two request files.

Whoever may write into the guard's 0700 directory is root on the node already.
"""

from __future__ import annotations

import fcntl
import os
import time
from enum import StrEnum
from pathlib import Path

from guard.clock import NodeClock
from guard.disk import NodeDisk
from guard.journal import Journal
from guard.log import log
from guard.nft import NftRules
from guard.node import RealNode
from guard.orders import Orders
from guard.policy import Paths, policy_or_none_to_arm
from guard.protocol import Phase, UndoReason
from guard.record import Order

_POLL_S = 0.1


class Ask(StrEnum):
    UNDO_ALL = "undo-all"
    KEEP_MANIFEST = "keep-manifest"


def lock_state(state: Path, *, wait: bool) -> int | None:
    """Be the only one who acts on this node's orders; None when somebody else is."""
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def take_asks(state: Path, orders: Orders) -> None:
    """Do what was asked by file. Called by the undo loop."""
    for ask in Ask:
        path = _ask_file(state, ask)
        if not path.exists():
            continue
        log("asked on the node", ask=ask)
        if ask is Ask.UNDO_ALL:
            orders.undo_all(UndoReason.LOCAL)
        else:
            orders.keep_manifest()
        path.unlink(missing_ok=True)


def ask_and_wait(paths: Paths, ask: Ask, timeout_s: float) -> Order | None:
    """Ask the running worker, or do it here when none runs; returns the order as it then is.

    None: this node has no order at all. TimeoutError: it is not over yet; it goes on.
    """
    disk, clock = NodeDisk(), NodeClock()
    until = clock.boottime() + timeout_s
    held = lock_state(paths.state, wait=False)
    if held is None:
        _ask_file(paths.state, ask).touch()
    orders = None
    if held is not None:
        orders = Orders(
            policy=policy_or_none_to_arm(paths.policy),
            journal=Journal(disk, paths.state),
            node=RealNode(paths),
            clock=clock,
            session="local",
            rules=NftRules(),
        )
        orders.start()
        _ask_file(paths.state, ask).touch()
    while True:
        pause = _POLL_S
        if orders is not None:
            take_asks(paths.state, orders)
            pause = orders.advance()
        order = Journal(disk, paths.state).load().order
        if order is None or order.phase is Phase.UNDONE:
            return order
        if clock.boottime() > until:
            raise TimeoutError(
                f"order {order.order_id} is {order.phase} after {timeout_s:.0f} s: {order.detail}"
            )
        time.sleep(min(pause, _POLL_S))


def _ask_file(state: Path, ask: Ask) -> Path:
    return state / f"{ask}.request"
