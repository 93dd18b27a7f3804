"""`kill`: SIGKILL once. The kubelet starts the container again, with its growing back-off."""

from __future__ import annotations

from guard.faults.base import LOOK_CALMLY_S, LOOK_EAGERLY_S, LOOK_S, Step
from guard.protocol import Phase
from guard.record import Order
from guard.world import Node

STUCK_AFTER_S = 120.0


class Kill:
    """One SIGKILL per process; nothing lies on the disk that would have to be restored."""

    def prepare(self, order: Order, node: Node) -> None:
        """Nothing: there is nothing to put back."""

    def strike(self, order: Order, node: Node) -> None:
        for process in order.processes_before:
            node.kill(process)

    def watch(self, order: Order, node: Node, now: float) -> Step:
        if order.bitten:
            return Step(order=order, again_s=LOOK_CALMLY_S)
        if any(node.alive(process) for process in order.processes_before):
            return Step(order=order, again_s=LOOK_EAGERLY_S)
        return Step(order=order.replace(bitten=True), again_s=LOOK_CALMLY_S)

    def undo(self, order: Order, node: Node, now: float) -> Step:
        recipe = order.recipe
        running = [
            process
            for process in node.processes(recipe.fault.component, recipe.pod_uid)
            if not order.bitten or process.info not in order.processes_before
        ]
        if running:
            return Step(order=order.replace(phase=Phase.UNDONE, detail=""), again_s=LOOK_S)
        undo_since = order.undo_boottime if order.undo_boottime is not None else now
        if now - undo_since >= STUCK_AFTER_S:
            detail = (
                f"no {recipe.fault.component} process runs {STUCK_AFTER_S:.0f} s after the undo"
                " began: the kubelet has not started it again"
            )
            order = order.replace(phase=Phase.STUCK, detail=detail)
        return Step(order=order, again_s=LOOK_S)
