"""`hold`: take a static pod's manifest away and kill its processes; put the same file back.

Without the SIGKILL the processes linger, serving nothing, until their 30 s grace ends. Measured
on Kubernetes 1.36: moved away *and* killed, they are gone at once and are not started again.
"""

from __future__ import annotations

from guard.faults.base import LOOK_CALMLY_S, LOOK_EAGERLY_S, LOOK_S, Step
from guard.protocol import ManifestInfo, Phase
from guard.record import Order
from guard.world import FoundManifest, Node

SETTLE_S = 5.0
"""A kubelet that was about to start the container does so within this time after the strike."""
CLEAR_LIMIT_S = 45.0
"""The old container must be gone before its manifest returns; one that cannot die (a process
stuck in the kernel) must not keep the manifest away for ever."""
NUDGE_AFTER_S = 75.0
"""The kubelet deletes the mirror pod in its main loop when a manifest goes. Where its API server
has lost its etcd, that call hangs until it times out: 34 s, seen on Kubernetes 1.36, in which the
kubelet sees nothing, also not a manifest that is back. A nudge is one more removal and costs
another 34 s (nudged after 20 s, an etcd of three was back after 100 s), so it waits for two."""
NUDGE_AWAY_S = 2.0
"""How long the file is away in a nudge: the kubelet must notice that it went."""
STUCK_AFTER_S = 120.0
STUCK_ATTEMPTS = 5
BACKOFF_MAX_S = 30.0


class Hold:
    """Manifest away, processes gone, for as long as the order is injected."""

    def prepare(self, order: Order, node: Node) -> None:
        recipe = order.recipe
        node.stash_copy(recipe.order_id, recipe.fault.component, recipe.manifest)

    def strike(self, order: Order, node: Node) -> None:
        recipe = order.recipe
        node.take(recipe.order_id, recipe.fault.component, recipe.manifest)
        for process in order.processes_before:
            node.kill(process)

    def watch(self, order: Order, node: Node, now: float) -> Step:
        recipe = order.recipe
        if not order.bitten and any(node.alive(process) for process in order.processes_before):
            return Step(order=order, again_s=LOOK_EAGERLY_S)
        if node.manifest(recipe.fault.component) is not None:
            # Killing on would fight whoever put it back; that is for people to settle.
            return Step(order=order, again_s=LOOK_S, reverted=True)
        running = node.processes(recipe.fault.component, recipe.pod_uid)
        for process in running:
            node.kill(process.info)
        if running:
            return Step(order=order, again_s=LOOK_EAGERLY_S)
        since = now - (order.injected_boottime or now)
        again_s = LOOK_S if since < SETTLE_S else LOOK_CALMLY_S
        return Step(order=order.replace(bitten=True), again_s=again_s)

    def undo(self, order: Order, node: Node, now: float) -> Step:
        if order.nudge_back_boottime is not None:
            if now < order.nudge_back_boottime:
                return Step(order=order, again_s=order.nudge_back_boottime - now)
            order = order.replace(nudge_back_boottime=None)
        found = node.manifest(order.recipe.fault.component)
        if found is None:
            return _put_back(order.replace(placed_boottime=None), node, now)
        if not _as_before(found, order.recipe.manifest):
            return _not_ours(order, found)
        if order.placed_boottime is None:
            # Somebody was faster, or it was never taken, or we crashed right after placing it.
            order = order.replace(placed_boottime=now)
        return _await_process(order, node, now)


def _put_back(order: Order, node: Node, now: float) -> Step:
    recipe = order.recipe
    if order.retry_boottime is not None and now < order.retry_boottime:
        return Step(order=order, again_s=order.retry_boottime - now)
    running = node.processes(recipe.fault.component, recipe.pod_uid)
    for process in running:
        node.kill(process.info)
    undo_since = order.undo_boottime if order.undo_boottime is not None else now
    if running and now - undo_since < CLEAR_LIMIT_S:
        return Step(order=order, again_s=LOOK_EAGERLY_S)
    order = order.replace(undo_attempts=order.undo_attempts + 1)
    try:
        node.place(recipe.order_id, recipe.fault.component, recipe.manifest)
    except FileExistsError:
        return Step(order=order, again_s=LOOK_EAGERLY_S)
    except OSError as error:
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
    placed = order.replace(placed_boottime=now, retry_boottime=None, detail="")
    return Step(order=placed, again_s=LOOK_S)


def _not_ours(order: Order, found: FoundManifest) -> Step:
    """A file stands there that is not the one we took: a person's, and it stays."""
    detail = (
        f"{found.info.path} is another file now (SHA-256 {found.info.sha256}, mode"
        f" {found.info.mode:04o}, owner {found.info.uid}:{found.info.gid}) than the one taken"
        f" (SHA-256 {order.recipe.manifest.sha256}); it is left alone. Move it away to get the"
        " original back, or run `python3 -m guard keep-manifest` on the node to accept it."
    )
    return Step(order=order.replace(phase=Phase.STUCK, detail=detail), again_s=LOOK_CALMLY_S)


def _await_process(order: Order, node: Node, now: float) -> Step:
    recipe = order.recipe
    running = [
        process
        for process in node.processes(recipe.fault.component, recipe.pod_uid)
        # What outlived its SIGKILL is not a recovery.
        if order.undo_attempts == 0 or process.info not in order.processes_before
    ]
    if running:
        return Step(order=order.replace(phase=Phase.UNDONE, detail=""), again_s=LOOK_S)
    waited = now - (order.placed_boottime or now)
    if waited >= NUDGE_AFTER_S and not order.nudged:
        node.take(recipe.order_id, recipe.fault.component, recipe.manifest)
        nudged = order.replace(
            nudged=True,
            nudge_back_boottime=now + NUDGE_AWAY_S,
            placed_boottime=None,
            undo_attempts=order.undo_attempts + 1,
            detail=f"no process {NUDGE_AFTER_S:.0f} s after the manifest was back: nudged once",
        )
        return Step(order=nudged, again_s=NUDGE_AWAY_S)
    undo_since = order.undo_boottime if order.undo_boottime is not None else now
    if now - undo_since >= STUCK_AFTER_S:
        detail = (
            f"the manifest is back as it was, but no {recipe.fault.component} process runs: the"
            " kubelet has not started it. Look at the kubelet and the container runtime."
        )
        return Step(order=order.replace(phase=Phase.STUCK, detail=detail), again_s=LOOK_CALMLY_S)
    return Step(order=order, again_s=LOOK_S)


def _as_before(found: FoundManifest, before: ManifestInfo) -> bool:
    return found.info == before
