"""What every fault kind answers. A driver keeps no state: all of it is in the order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from guard.protocol import Credential
from guard.record import Order, Recipe
from guard.world import World

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
    """One kind of fault. Every method may raise OSError: at arming and injecting it is then
    refused, later the step is tried again."""

    def aim(self, recipe: Recipe, credential: Credential | None, world: World) -> Recipe:
        """At arming: look at the target and note in the recipe what the undo will need;
        `RefusedError` when it is not there or in doubt. Looks only."""

    def prepare(self, order: Order, world: World) -> Order:
        """At arming: put on the disk what the undo will need, and complete the recipe with what
        only the disk can say. Breaks nothing."""

    def check(self, order: Order, world: World) -> Order:
        """Just before the strike: `RefusedError` unless the target is still what was armed."""

    def strike(self, order: Order, world: World) -> Order:
        """Break it, once. The intent is already journalled."""

    def watch(self, order: Order, world: World, now: float) -> Step:
        """After the strike: look whether it bit, and keep it so while the order is injected."""

    def disarm(self, order: Order, world: World) -> Order:
        """The undo of what was never struck: look, and say in `detail` what is not as it was."""

    def undo(self, order: Order, world: World, now: float) -> Step:
        """One step towards the state before; the phase is UNDONE only when that was seen."""

    def accept(self, order: Order, world: World) -> bool:
        """May somebody on the node end this stuck order with what stands there now?"""
