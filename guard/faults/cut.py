"""`cut`: the kernel drops the node's packets to named endpoints, and forgets them by itself.

Every element of the kernel's set carries a timeout beyond the hard deadline: with everything of
ours dead the cut still ends. One order is live at a time, so whatever the kernel holds for this
guard is this order's; the undo takes all of it away and looks that nothing is left.
"""

from __future__ import annotations

from guard.faults.base import LOOK_CALMLY_S, LOOK_S, Step
from guard.protocol import DEADLINE_MARGIN_S, Code, Credential, Phase
from guard.record import Order, Recipe
from guard.world import RefusedError, World


class Cut:
    """Packets to the endpoints dropped, for as long as the order is injected."""

    def aim(self, recipe: Recipe, credential: Credential | None, world: World) -> Recipe:
        world.rules.listed()
        return recipe

    def prepare(self, order: Order, world: World) -> Order:
        """Nothing on the disk: the recipe says it all, and the kernel ends it by itself."""
        return order

    def check(self, order: Order, world: World) -> Order:
        found = world.rules.listed()
        if found:
            raise RefusedError(
                Code.TARGET_ABSENT,
                f"the kernel drops {len(found)} endpoints for this guard already; undo this order",
            )
        return order

    def strike(self, order: Order, world: World) -> Order:
        fault = order.recipe.fault
        world.rules.cut(fault.endpoints, fault.hold_s + int(DEADLINE_MARGIN_S))
        return order

    def watch(self, order: Order, world: World, now: float) -> Step:
        listed = world.rules.listed()
        order = order.replace(cut=listed)
        if not set(order.recipe.fault.endpoints) <= set(listed):
            # Somebody took it away, or it ended early: not put there again.
            return Step(order=order, again_s=LOOK_CALMLY_S, reverted=True)
        if order.bitten:
            return Step(order=order, again_s=LOOK_CALMLY_S)
        got_through = world.rules.got_through(order.recipe.fault.endpoints)
        bitten = got_through is False
        return Step(
            order=order.replace(bitten=bitten),
            again_s=LOOK_CALMLY_S if bitten else LOOK_S,
        )

    def disarm(self, order: Order, world: World) -> Order:
        return order

    def undo(self, order: Order, world: World, now: float) -> Step:
        world.rules.clear()
        left = world.rules.listed()
        order = order.replace(cut=left)
        if left:
            raise OSError(f"the kernel still drops packets to {len(left)} endpoints")
        return Step(order=order.replace(phase=Phase.UNDONE, detail=""), again_s=LOOK_CALMLY_S)

    def accept(self, order: Order, world: World) -> bool:
        return False
