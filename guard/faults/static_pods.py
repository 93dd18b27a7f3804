"""What `hold`, `kill` and `flag` share: finding the one static pod, and seeing it come back."""

from __future__ import annotations

from guard.faults.base import LOOK_CALMLY_S, LOOK_S, Step
from guard.protocol import Code, Component, Phase, ProcessInfo
from guard.record import Order, Recipe
from guard.world import FoundManifest, FoundProcess, Node, RefusedError

NUDGE_AFTER_S = 75.0
"""The kubelet deletes the mirror pod in its main loop when a manifest goes. Where its API server
has lost its etcd, that call hangs until it times out: 34 s, seen on Kubernetes 1.36, in which the
kubelet sees nothing, also not a manifest that is back. A nudge is one more removal and costs
another 34 s (nudged after 20 s, an etcd of three was back after 100 s), so it waits for two."""
NUDGE_AWAY_S = 2.0
"""How long the file is away in a nudge: the kubelet must notice that it went."""
STUCK_AFTER_S = 180.0
"""Two such waits, the nudge and the one that it costs were 130 s on a busy machine (seen), and it
came back by itself: people are called when that is over, and not before."""


def aim_at_static_pod(recipe: Recipe, component: Component, node: Node) -> Recipe:
    """The manifest and the running pod, both seen; refuse when either is missing or doubtful."""
    manifest, processes = _look(component, node)
    if manifest is None:
        raise RefusedError(
            Code.TARGET_ABSENT,
            f"this node has no manifest of {component}: it does not run there as a static pod",
        )
    pods = sorted({process.pod_uid for process in processes})
    if not pods:
        raise RefusedError(
            Code.TARGET_ABSENT, f"no process of {component} runs on this node: it is down already"
        )
    if len(pods) > 1:
        raise RefusedError(
            Code.TARGET_ABSENT,
            f"{len(pods)} static pods of this node run {component} ({', '.join(pods)}); which one"
            " is meant cannot be told",
        )
    return recipe.replace(manifest=manifest.info, pod_uid=pods[0])


def check_static_pod(order: Order, node: Node) -> Order:
    """Still the armed manifest and the armed pod: note the processes that must be seen gone."""
    recipe = order.recipe
    found, processes = _look(recipe.target, node, recipe.pod_uid)
    if found is None or found.info != recipe.manifest:
        raise RefusedError(
            Code.TARGET_ABSENT,
            f"the manifest of {recipe.target} is not the one that was armed; undo this order",
        )
    if not processes:
        raise RefusedError(
            Code.TARGET_ABSENT,
            f"no process of {recipe.target} runs now: it went down by itself; undo this order",
        )
    return order.replace(processes_before=[process.info for process in processes])


def _look(
    component: Component, node: Node, pod_uid: str | None = None
) -> tuple[FoundManifest | None, list[FoundProcess]]:
    try:
        return node.manifest(component), node.processes(component, pod_uid)
    except OSError as error:
        raise RefusedError(
            Code.TARGET_ABSENT, f"{component} cannot be looked at: {error}"
        ) from error


def disarm_static_pod(order: Order, node: Node) -> Order:
    """Nothing was broken yet: only look that the manifest is what it was."""
    found = node.manifest(order.recipe.target)
    if found is not None and found.info == order.recipe.manifest:
        return order.replace(detail="")
    return order.replace(
        detail="the manifest was changed by somebody else since it was armed; left alone"
    )


def kill_pod(order: Order, node: Node) -> list[ProcessInfo]:
    """SIGKILL whatever still runs of the armed pod; returns what there was."""
    running = node.processes(order.recipe.target, order.recipe.pod_uid)
    for process in running:
        node.kill(process.info)
    return [process.info for process in running]


def running_anew(order: Order, node: Node) -> bool:
    """Does the target run again? What outlived its SIGKILL is not a recovery.

    A pod with a bad flag is another pod and must not count. Without one, any static pod of the
    component does: a manifest that somebody had edited just before the arming belongs to a pod
    that was not running yet, and comes back as that one.
    """
    recipe = order.recipe
    pod_uid = recipe.pod_uid if recipe.fault.flag is not None else None
    return any(
        order.undo_attempts == 0 or process.info not in order.processes_before
        for process in node.processes(recipe.target, pod_uid)
    )


def await_process(order: Order, node: Node, now: float) -> Step:
    """The manifest is as before: wait for a process, nudge the kubelet once, then say stuck."""
    recipe = order.recipe
    if running_anew(order, node):
        return Step(order=order.replace(phase=Phase.UNDONE, detail=""), again_s=LOOK_S)
    waited = now - (order.placed_boottime or now)
    if waited >= NUDGE_AFTER_S and not order.nudged:
        node.take(recipe.order_id, recipe.target, recipe.manifest_before)
        nudged = order.replace(
            nudged=True,
            nudge_back_boottime=now + NUDGE_AWAY_S,
            placed_boottime=None,
            undo_attempts=order.undo_attempts + 1,
            detail=f"no process {NUDGE_AFTER_S:.0f} s after the manifest was back: nudged once",
        )
        return Step(order=nudged, again_s=NUDGE_AWAY_S)
    if now - undo_since(order, now) >= STUCK_AFTER_S:
        detail = (
            f"the manifest is back as it was, but no {recipe.target} process runs: the"
            " kubelet has not started it. Look at the kubelet and the container runtime."
        )
        return Step(order=order.replace(phase=Phase.STUCK, detail=detail), again_s=LOOK_CALMLY_S)
    return Step(order=order, again_s=LOOK_S)


def not_ours(order: Order, found: FoundManifest) -> Step:
    """A file stands there that is neither ours nor the original: a person's, and it stays."""
    before = order.recipe.manifest_before
    detail = (
        f"{found.info.path} is another file now (SHA-256 {found.info.sha256}, mode"
        f" {found.info.mode:04o}, owner {found.info.uid}:{found.info.gid}) than the one before"
        f" (SHA-256 {before.sha256}); it is left alone. Move it away to get the"
        " original back, or run `python3 -m guard keep-manifest` on the node to accept it."
    )
    return Step(order=order.replace(phase=Phase.STUCK, detail=detail), again_s=LOOK_CALMLY_S)


def undo_since(order: Order, now: float) -> float:
    return order.undo_boottime if order.undo_boottime is not None else now
