"""The guard's own processes die in mid-fault; what it broke ends all the same."""

from __future__ import annotations

import time

import pytest

from config.stack.processes import ProcessMark
from tests.faults.cluster import API_DOWN, BUDGET_S, DEADLINE_MARGIN_S, QaCluster, at
from tests.faults.nodes import API, GUARD_PARENT, GUARD_WORKER, NodeLook
from tests.faults.quick_rows import kill_now
from tests.stack.running import wait_until

pytestmark = [pytest.mark.range, pytest.mark.timeout(400, func_only=True)]
KILLS = 10
AT_ONCE_S = 3
KUBELET_S = 45
"""The kubelet sees an ended container within seconds, and its pause is 10 s on a test's range."""
HOLD_S = 60


def test_row_21_guard_killed_ten_times_in_a_row_and_its_parent_once(qa: QaCluster) -> None:
    before = qa.look.processes(API)
    run = qa.start(API_DOWN, hold_s=HOLD_S)
    qa.await_active(run)
    bitten = {name: _injected_at(qa, name) for name in qa.row_targets(run)}

    first = qa.look.node("qa-1")
    gone_for = [_kill_worker(first) for _kill in range(KILLS)]
    assert max(gone_for) < AT_ONCE_S, gone_for
    assert first.guard(GUARD_PARENT), "the parent is there"

    second = qa.look.node("qa-2")
    parent = second.guard(GUARD_PARENT)
    kill_now(list(parent))
    fresh = wait_until(
        lambda: second.guard(GUARD_PARENT) - parent and second.guard(GUARD_WORKER),
        within_s=KUBELET_S,
        what="the kubelet started the guard on qa-2 again, without an API",
    )
    assert len(fresh) == 1

    # It goes on from its journal, or has undone: never is the fault forgotten or done again.
    for name, injected_at in bitten.items():
        order = qa.look.node(name).order()
        assert order is not None
        assert order["recipe"]["order_id"] == run
        assert order["injected_at"] == injected_at
        if order["phase"] == "injected":
            assert not qa.look.node(name).processes(API), f"{name} lost its fault"

    orders = qa.await_undo_on_guards(run, within_s=HOLD_S + DEADLINE_MARGIN_S)
    row = qa.await_clean(run, within_s=HOLD_S + DEADLINE_MARGIN_S + BUDGET_S)
    for name, order in orders.items():
        held_s = at(order["undo_asked_at"]) - at(bitten[name])
        assert held_s <= HOLD_S + 5, f"{name} was held for {held_s} s, {order['undo_reason']}"
        assert qa.look.processes(API)[name].isdisjoint(before[name])
    if {order["undo_reason"] for order in orders.values()} != {"requested"}:
        assert row["verdict"] == "inconclusive"


def _injected_at(qa: QaCluster, name: str) -> str:
    order = qa.look.node(name).order()
    assert order is not None
    assert order["phase"] == "injected"
    return str(order["injected_at"])


def _kill_worker(node: NodeLook) -> float:
    """Kill the node's guard worker; seconds until there is another one."""
    worker = wait_until(
        lambda: node.guard(GUARD_WORKER), within_s=AT_ONCE_S, what="a worker", every_s=0.02
    )
    began = time.monotonic()
    kill_now(list(worker))

    def another() -> frozenset[ProcessMark]:
        return node.guard(GUARD_WORKER) - worker

    wait_until(another, within_s=AT_ONCE_S, what="the parent started another", every_s=0.02)
    return time.monotonic() - began
