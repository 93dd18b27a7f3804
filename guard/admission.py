"""What is refused, and in which words. Looks only; changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from guard.protocol import (
    HOLD_MAX_S,
    HOLD_MIN_S,
    INJECT_WINDOW_S,
    ORDER_ID,
    STAGE_QA,
    ArmRequest,
    Code,
    ManifestInfo,
    Phase,
    Policy,
    ProcessInfo,
)
from guard.record import Order
from guard.world import FoundManifest, FoundProcess, Node, RefusedError

_MAX_NUMBER = 2**62
"""Sequences and epochs above this are nonsense, and would use up the numbers for good."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The one static pod that an order may touch."""

    manifest: ManifestInfo
    pod_uid: str


def check_freshness(session: str, sequence: int, current_session: str, last: int) -> None:
    """Refuse what was meant for an earlier guard process, and what came before."""
    if session != current_session:
        raise RefusedError(
            Code.STALE_SESSION,
            f"session {session[:64]!r} is not this guard's: it was restarted, or the request is"
            " a replay. Say hello again.",
        )
    if not 0 < sequence < _MAX_NUMBER:
        raise RefusedError(Code.OUT_OF_BOUNDS, f"sequence {sequence} is not in 1..{_MAX_NUMBER}")
    if sequence <= last:
        raise RefusedError(
            Code.STALE_SEQUENCE,
            f"sequence {sequence} is not above {last}: the request came late or twice. Say hello"
            " to learn the last one.",
        )


def check_arm(
    request: ArmRequest, policy: Policy, epoch: int, live: Order | None, node: Node
) -> Target:
    """Every reason why an order is not armed; returns what it is aimed at."""
    if not ORDER_ID.match(request.order_id):
        raise RefusedError(Code.MALFORMED, f"order id {request.order_id[:64]!r} is not a UUID")
    check_stage(policy)
    if request.epoch < epoch:
        raise RefusedError(
            Code.OLD_EPOCH,
            f"epoch {request.epoch} is older than {epoch}: this Belay was restored from an older"
            " backup, or another one took over. Adopt the cluster before arming.",
        )
    if request.epoch > _MAX_NUMBER:
        raise RefusedError(Code.OUT_OF_BOUNDS, f"epoch {request.epoch} is above {_MAX_NUMBER}")
    if live is not None:
        raise RefusedError(
            Code.OTHER_ORDER_LIVE,
            f"order {live.order_id} is {live.phase} on node {policy.node}: one fault at a time."
            " Undo it first.",
        )
    fault = request.fault
    if fault.component not in policy.components:
        raise RefusedError(
            Code.UNKNOWN_FAULT,
            f"{fault.component} is not among what this node allows:"
            f" {', '.join(policy.components) or 'nothing'}",
        )
    if not HOLD_MIN_S <= fault.hold_s <= HOLD_MAX_S:
        raise RefusedError(
            Code.OUT_OF_BOUNDS,
            f"hold of {fault.hold_s} s is not within {HOLD_MIN_S}..{HOLD_MAX_S} s",
        )
    if not policy.lease_min_s <= request.lease_s <= policy.lease_max_s:
        raise RefusedError(
            Code.OUT_OF_BOUNDS,
            f"lease of {request.lease_s} s is not within {policy.lease_min_s:g}.."
            f"{policy.lease_max_s:g} s",
        )
    return find_target(request, policy, node)


def check_stage(policy: Policy) -> None:
    """Faults are for QA; the node's own file says what this node is."""
    if policy.stage != STAGE_QA:
        raise RefusedError(
            Code.NOT_QA,
            f"node {policy.node} is of stage {policy.stage!r}; faults are for {STAGE_QA!r} only",
        )


def find_target(request: ArmRequest, policy: Policy, node: Node) -> Target:
    """The manifest and the running pod, both seen; refuse when either is missing or doubtful."""
    component = request.fault.component
    manifest: FoundManifest | None
    try:
        manifest = node.manifest(component)
        processes: list[FoundProcess] = node.processes(component)
    except OSError as error:
        raise RefusedError(Code.TARGET_ABSENT, f"{component} cannot be looked at: {error}") from (
            error
        )
    if manifest is None:
        raise RefusedError(
            Code.TARGET_ABSENT,
            f"node {policy.node} has no manifest of {component}: it does not run there as a"
            " static pod",
        )
    pods = sorted({process.pod_uid for process in processes})
    if not pods:
        raise RefusedError(
            Code.TARGET_ABSENT,
            f"no process of {component} runs on node {policy.node}: it is down already",
        )
    if len(pods) > 1:
        raise RefusedError(
            Code.TARGET_ABSENT,
            f"{len(pods)} static pods of node {policy.node} run {component} ({', '.join(pods)});"
            " which one is meant cannot be told",
        )
    return Target(manifest=manifest.info, pod_uid=pods[0])


def check_inject(order: Order, policy: Policy, now: float, node: Node) -> list[ProcessInfo]:
    """Every reason why an armed order is not injected; returns the processes to be seen gone."""
    order_id = order.order_id
    check_stage(policy)
    if order.phase in (Phase.INJECTING, Phase.INJECTED):
        raise RefusedError(
            Code.ALREADY_INJECTED, f"order {order_id} is {order.phase}: inject works once"
        )
    if order.phase is not Phase.ARMED:
        raise tombstone_refusal(order_id)
    age = now - order.recipe.armed_boottime
    if age > INJECT_WINDOW_S:
        raise RefusedError(
            Code.INJECT_TOO_LATE,
            f"order {order_id} was armed {age:.0f} s ago, more than {INJECT_WINDOW_S:.0f} s;"
            " undo it and arm a new one",
        )
    fault = order.recipe.fault
    try:
        found = node.manifest(fault.component)
        processes = node.processes(fault.component, order.recipe.pod_uid)
    except OSError as error:
        raise RefusedError(
            Code.TARGET_ABSENT, f"{fault.component} cannot be looked at: {error}"
        ) from error
    if found is None or found.info != order.recipe.manifest:
        raise RefusedError(
            Code.TARGET_ABSENT,
            f"the manifest of {fault.component} is not the one that was armed; undo this order",
        )
    if not processes:
        raise RefusedError(
            Code.TARGET_ABSENT,
            f"no process of {fault.component} runs now: it went down by itself; undo this order",
        )
    return [process.info for process in processes]


def tombstone_refusal(order_id: str) -> RefusedError:
    return RefusedError(
        Code.TOMBSTONE, f"order {order_id} was undone; nothing of it can happen here any more"
    )
