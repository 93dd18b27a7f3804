"""`kill`: SIGKILL once. The kubelet starts the container again, with its growing back-off."""

from __future__ import annotations

from guard.faults.base import LOOK_CALMLY_S, LOOK_EAGERLY_S, LOOK_S, Step
from guard.faults.hold import component_of
from guard.faults.static_pods import (
    STUCK_AFTER_S,
    aim_at_static_pod,
    check_static_pod,
    disarm_static_pod,
    undo_since,
)
from guard.protocol import Credential, Phase
from guard.record import Order, Recipe
from guard.world import World


class Kill:
    """One SIGKILL per process; nothing lies on the disk that would have to be restored."""

    def aim(self, recipe: Recipe, credential: Credential | None, world: World) -> Recipe:
        return aim_at_static_pod(recipe, component_of(recipe), world.node)

    def prepare(self, order: Order, world: World) -> Order:
        """Nothing: there is nothing to put back."""
        return order

    def check(self, order: Order, world: World) -> Order:
        return check_static_pod(order, world.node)

    def strike(self, order: Order, world: World) -> Order:
        for process in order.processes_before:
            world.node.kill(process)
        return order

    def watch(self, order: Order, world: World, now: float) -> Step:
        if order.bitten:
            return Step(order=order, again_s=LOOK_CALMLY_S)
        if any(world.node.alive(process) for process in order.processes_before):
            return Step(order=order, again_s=LOOK_EAGERLY_S)
        return Step(order=order.replace(bitten=True), again_s=LOOK_CALMLY_S)

    def disarm(self, order: Order, world: World) -> Order:
        return disarm_static_pod(order, world.node)

    def undo(self, order: Order, world: World, now: float) -> Step:
        recipe = order.recipe
        running = [
            process
            # Of any pod: the kubelet may take up a manifest that was edited before the arming.
            for process in world.node.processes(recipe.target)
            if not order.bitten or process.info not in order.processes_before
        ]
        if running:
            return Step(order=order.replace(phase=Phase.UNDONE, detail=""), again_s=LOOK_S)
        if now - undo_since(order, now) >= STUCK_AFTER_S:
            detail = (
                f"no {recipe.target} process runs {STUCK_AFTER_S:.0f} s after the undo"
                " began: the kubelet has not started it again"
            )
            order = order.replace(phase=Phase.STUCK, detail=detail)
        return Step(order=order, again_s=LOOK_S)

    def accept(self, order: Order, world: World) -> bool:
        return world.node.manifest(order.recipe.target) is not None
