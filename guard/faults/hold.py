"""`hold`: take a static pod's manifest away and kill its processes; put the same file back.

Without the SIGKILL the processes linger, serving nothing, until their 30 s grace ends. Measured
on Kubernetes 1.36: moved away *and* killed, they are gone at once and are not started again.
"""

from __future__ import annotations

from guard.faults.base import LOOK_CALMLY_S, LOOK_EAGERLY_S, LOOK_S, Step
from guard.faults.static_pods import (
    aim_at_static_pod,
    await_process,
    check_static_pod,
    disarm_static_pod,
    kill_pod,
    not_ours,
    undo_since,
)
from guard.protocol import Component, Credential, Phase
from guard.record import Order, Recipe
from guard.world import World

SETTLE_S = 5.0
"""A kubelet that was about to start the container does so within this time after the strike."""
CLEAR_LIMIT_S = 45.0
"""The old container must be gone before its manifest returns; one that cannot die (a process
stuck in the kernel) must not keep the manifest away for ever."""
STUCK_ATTEMPTS = 5
BACKOFF_MAX_S = 30.0


def component_of(recipe: Recipe) -> Component:
    """`hold` and `kill` name their component in the request."""
    assert recipe.fault.component is not None
    return recipe.fault.component


class Hold:
    """Manifest away, processes gone, for as long as the order is injected."""

    def aim(self, recipe: Recipe, credential: Credential | None, world: World) -> Recipe:
        return aim_at_static_pod(recipe, component_of(recipe), world.node)

    def prepare(self, order: Order, world: World) -> Order:
        recipe = order.recipe
        world.node.stash_copy(recipe.order_id, recipe.target, recipe.manifest_before)
        return order

    def check(self, order: Order, world: World) -> Order:
        return check_static_pod(order, world.node)

    def strike(self, order: Order, world: World) -> Order:
        recipe = order.recipe
        world.node.take(recipe.order_id, recipe.target, recipe.manifest_before)
        for process in order.processes_before:
            world.node.kill(process)
        return order

    def watch(self, order: Order, world: World, now: float) -> Step:
        node, recipe = world.node, order.recipe
        if not order.bitten and any(node.alive(process) for process in order.processes_before):
            return Step(order=order, again_s=LOOK_EAGERLY_S)
        if node.manifest(recipe.target) is not None:
            # Killing on would fight whoever put it back; that is for people to settle.
            return Step(order=order, again_s=LOOK_S, reverted=True)
        if kill_pod(order, node):
            return Step(order=order, again_s=LOOK_EAGERLY_S)
        since = now - (order.injected_boottime or now)
        again_s = LOOK_S if since < SETTLE_S else LOOK_CALMLY_S
        return Step(order=order.replace(bitten=True), again_s=again_s)

    def disarm(self, order: Order, world: World) -> Order:
        return disarm_static_pod(order, world.node)

    def undo(self, order: Order, world: World, now: float) -> Step:
        if order.nudge_back_boottime is not None:
            if now < order.nudge_back_boottime:
                return Step(order=order, again_s=order.nudge_back_boottime - now)
            order = order.replace(nudge_back_boottime=None)
        found = world.node.manifest(order.recipe.target)
        if found is None:
            return put_back(order.replace(placed_boottime=None), world, now)
        if found.info != order.recipe.manifest:
            return not_ours(order, found)
        if order.placed_boottime is None:
            # Somebody was faster, or it was never taken, or we crashed right after placing it.
            order = order.replace(placed_boottime=now)
        return await_process(order, world.node, now)

    def accept(self, order: Order, world: World) -> bool:
        return world.node.manifest(order.recipe.target) is not None


def put_back(order: Order, world: World, now: float) -> Step:
    """Nothing stands there: give the original its place again, once the old processes are gone."""
    node, recipe = world.node, order.recipe
    if order.retry_boottime is not None and now < order.retry_boottime:
        return Step(order=order, again_s=order.retry_boottime - now)
    if kill_pod(order, node) and now - undo_since(order, now) < CLEAR_LIMIT_S:
        return Step(order=order, again_s=LOOK_EAGERLY_S)
    order = order.replace(undo_attempts=order.undo_attempts + 1)
    try:
        node.place(recipe.order_id, recipe.target, recipe.manifest_before)
    except FileExistsError:
        return Step(order=order, again_s=LOOK_EAGERLY_S)
    except OSError as error:
        return not_placed(order, error, now)
    placed = order.replace(placed_boottime=now, retry_boottime=None, detail="")
    return Step(order=placed, again_s=LOOK_S)


def not_placed(order: Order, error: OSError, now: float) -> Step:
    """The disk refused: again, for ever, with growing pauses."""
    stuck = order.undo_attempts >= STUCK_ATTEMPTS
    pause_s = min(LOOK_S * 2 ** min(order.undo_attempts, 10), BACKOFF_MAX_S)
    return Step(
        order=order.replace(
            phase=Phase.STUCK if stuck else order.phase,
            detail=f"the manifest could not be put back: {error}",
            retry_boottime=now + pause_s,
        ),
        again_s=pause_s,
    )
