"""`flag`: a wrong flag from the fixed list in a static pod's manifest; the original comes back.

Three-way on bytes: ours gives way to the original, the original is only marked, and anything else
is somebody's and stays. A static pod's UID is the hash of its manifest: the pod with the bad flag
is another pod, and the original's return is seen by a process of the original's UID.
"""

from __future__ import annotations

from guard.faults.base import LOOK_CALMLY_S, LOOK_EAGERLY_S, LOOK_S, Step
from guard.faults.hold import not_placed, put_back
from guard.faults.static_pods import (
    aim_at_static_pod,
    await_process,
    check_static_pod,
    disarm_static_pod,
    kill_pod,
    not_ours,
)
from guard.flags import FLAGS, Flag, with_flag
from guard.protocol import Code, Credential, ManifestInfo
from guard.record import Order, Recipe
from guard.world import Node, RefusedError, World


class BadFlagInManifest:
    """The manifest with one wrong flag, for as long as the order is injected."""

    def aim(self, recipe: Recipe, credential: Credential | None, world: World) -> Recipe:
        flag = _flag(recipe)
        recipe = aim_at_static_pod(recipe, flag.component, world.node)
        _flagged_text(flag, world.node)
        return recipe.replace(component=flag.component)

    def prepare(self, order: Order, world: World) -> Order:
        recipe, node = order.recipe, world.node
        node.stash_copy(recipe.order_id, recipe.target, recipe.manifest_before)
        text = _flagged_text(_flag(recipe), node)
        flagged = node.flag_copy(recipe.order_id, recipe.target, text.encode())
        return order.replace(recipe=recipe.replace(flagged=flagged))

    def check(self, order: Order, world: World) -> Order:
        return check_static_pod(order, world.node)

    def strike(self, order: Order, world: World) -> Order:
        recipe = order.recipe
        world.node.swap(recipe.order_id, recipe.target, recipe.manifest_before, flag=True)
        for process in order.processes_before:
            world.node.kill(process)
        return order

    def watch(self, order: Order, world: World, now: float) -> Step:
        node, recipe = world.node, order.recipe
        if not order.bitten and any(node.alive(process) for process in order.processes_before):
            return Step(order=order, again_s=LOOK_EAGERLY_S)
        found = node.manifest(recipe.target)
        if found is None or found.info != recipe.flagged:
            # Taken away, put back or edited: whoever did it is not fought.
            return Step(order=order, again_s=LOOK_S, reverted=True)
        if kill_pod(order, node):
            # A kubelet that had not seen the new manifest yet started the old pod once more.
            return Step(order=order, again_s=LOOK_EAGERLY_S)
        return Step(order=order.replace(bitten=True), again_s=LOOK_S)

    def disarm(self, order: Order, world: World) -> Order:
        return disarm_static_pod(order, world.node)

    def undo(self, order: Order, world: World, now: float) -> Step:
        if order.nudge_back_boottime is not None:
            if now < order.nudge_back_boottime:
                return Step(order=order, again_s=order.nudge_back_boottime - now)
            order = order.replace(nudge_back_boottime=None)
        found = world.node.manifest(order.recipe.target)
        if found is None:
            # A file where none is clobbers nobody: the way back of whoever took ours away.
            return put_back(order.replace(placed_boottime=None), world, now)
        if found.info == order.recipe.manifest:
            if order.placed_boottime is None:
                order = order.replace(placed_boottime=now)
            return await_process(order, world.node, now)
        if found.info == order.recipe.flagged:
            return _give_back(order, found.info, world, now)
        return not_ours(order, found)

    def accept(self, order: Order, world: World) -> bool:
        return world.node.manifest(order.recipe.target) is not None


def _give_back(order: Order, ours: ManifestInfo, world: World, now: float) -> Step:
    """The original takes the place of ours, in one step; the pod with the bad flag ends now."""
    node, recipe = world.node, order.recipe
    if order.retry_boottime is not None and now < order.retry_boottime:
        return Step(order=order, again_s=order.retry_boottime - now)
    order = order.replace(undo_attempts=order.undo_attempts + 1)
    try:
        node.swap(recipe.order_id, recipe.target, ours, flag=False)
    except OSError as error:
        return not_placed(order, error, now)
    for process in node.processes(recipe.target):
        # At arming no other static pod ran this component: this is the one with the bad flag.
        # Left alone, it may linger for its 30 s of grace, and the original waits for it.
        if process.pod_uid != recipe.pod_uid:
            node.kill(process.info)
    placed = order.replace(placed_boottime=now, retry_boottime=None, detail="")
    return Step(order=placed, again_s=LOOK_S if order.bitten else LOOK_CALMLY_S)


def _flag(recipe: Recipe) -> Flag:
    assert recipe.fault.flag is not None
    return FLAGS[recipe.fault.flag]


def _flagged_text(flag: Flag, node: Node) -> str:
    try:
        return with_flag(node.manifest_text(flag.component), flag)
    except ValueError as error:
        raise RefusedError(
            Code.TARGET_ABSENT,
            f"the manifest of {flag.component} has another shape than kubeadm's: {error}. No bad"
            " flag can be put into it.",
        ) from error
