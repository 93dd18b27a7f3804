"""What every fault kind answers. A driver keeps no state: all of it is in the order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from guard.record import Order
from guard.world import Node

LOOK_EAGERLY_S = 0.02
"""While somebody waits for a process to go or to come."""
LOOK_S = 0.25
LOOK_CALMLY_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Step:
    """The order after one step, and when to look again (seconds)."""

    order: Order
    again_s: float
    reverted: bool = False
    """Somebody else undid the fault while it was injected."""


class FaultDriver(Protocol):
    """One kind of fault. Every method may raise OSError: the step is then tried again."""

    def prepare(self, order: Order, node: Node) -> None:
        """At arming: put on the disk what the undo will need. Breaks nothing."""

    def strike(self, order: Order, node: Node) -> None:
        """Break it, once. The intent is already journalled."""

    def watch(self, order: Order, node: Node, now: float) -> Step:
        """After the strike: look whether it bit, and keep it so while the order is injected."""

    def undo(self, order: Order, node: Node, now: float) -> Step:
        """One step towards the state before; the phase is UNDONE only when that was seen."""
