"""`drill`: a file in the guard's own state. Harmless; rehearses arm, inject, expiry and undo."""

from __future__ import annotations

from guard.faults.base import LOOK_CALMLY_S, Step
from guard.protocol import Credential, Phase
from guard.record import Order, Recipe
from guard.world import World


class Drill:
    """Touches nothing of the node but the guard's own directory."""

    def aim(self, recipe: Recipe, credential: Credential | None, world: World) -> Recipe:
        return recipe

    def prepare(self, order: Order, world: World) -> Order:
        """Nothing: the undo needs no more than the order's id."""
        return order

    def check(self, order: Order, world: World) -> Order:
        return order

    def strike(self, order: Order, world: World) -> Order:
        world.marks.write_mark(order.order_id)
        return order

    def watch(self, order: Order, world: World, now: float) -> Step:
        there = world.marks.read_mark() == order.order_id
        return Step(
            order=order.replace(bitten=order.bitten or there),
            again_s=LOOK_CALMLY_S,
            reverted=order.bitten and not there,
        )

    def disarm(self, order: Order, world: World) -> Order:
        return order

    def undo(self, order: Order, world: World, now: float) -> Step:
        world.marks.drop_mark()
        left = world.marks.read_mark()
        if left is not None:
            raise OSError(f"the drill's file is still there: {left!r}")
        return Step(order=order.replace(phase=Phase.UNDONE, detail=""), again_s=LOOK_CALMLY_S)

    def accept(self, order: Order, world: World) -> bool:
        return False
