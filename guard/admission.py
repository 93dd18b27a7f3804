"""What is refused, and in which words. Looks only; changes nothing."""

from __future__ import annotations

from guard.bounds import check_fault
from guard.protocol import (
    INJECT_WINDOW_S,
    ORDER_ID,
    STAGE_QA,
    ArmRequest,
    Code,
    Phase,
    Policy,
)
from guard.record import Order
from guard.world import RefusedError

_MAX_NUMBER = 2**62
"""Sequences and epochs above this are nonsense, and would use up the numbers for good."""


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


def check_arm(request: ArmRequest, policy: Policy, epoch: int, live: Order | None) -> None:
    """Every reason why an order is not armed that can be told without looking at its target."""
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
    check_fault(request.fault, request.credential, policy)
    if not policy.lease_min_s <= request.lease_s <= policy.lease_max_s:
        raise RefusedError(
            Code.OUT_OF_BOUNDS,
            f"lease of {request.lease_s} s is not within {policy.lease_min_s:g}.."
            f"{policy.lease_max_s:g} s",
        )


def check_stage(policy: Policy) -> None:
    """Faults are for QA; the node's own file says what this node is."""
    if policy.stage != STAGE_QA:
        raise RefusedError(
            Code.NOT_QA,
            f"node {policy.node} is of stage {policy.stage!r}; faults are for {STAGE_QA!r} only",
        )


def check_inject(order: Order, policy: Policy, now: float) -> None:
    """Every reason why an armed order is not injected, before its target is looked at again."""
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


def tombstone_refusal(order_id: str) -> RefusedError:
    return RefusedError(
        Code.TOMBSTONE, f"order {order_id} was undone; nothing of it can happen here any more"
    )


def same_request(order: Order, request: ArmRequest) -> bool:
    """Is this the request that armed the order? Its answer may have been lost."""
    recipe = order.recipe
    return (recipe.order_id, recipe.fault, recipe.epoch, recipe.lease_s) == (
        request.order_id,
        request.fault,
        request.epoch,
        request.lease_s,
    )


def disk_refusal(order_id: str, error: object) -> RefusedError:
    return RefusedError(
        Code.DISK,
        f"order {order_id} was not armed: its way back could not be written to the node's disk"
        f" and read back ({error}). Make room on the node and arm a new order.",
    )
