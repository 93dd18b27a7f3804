"""Kubelets and whole nodes restart in mid-fault; what was broken is restored without an API."""

from __future__ import annotations

import time
from typing import Any

import pytest

from config.stack.processes import ProcessMark
from tests.faults.cluster import API_DOWN, BUDGET_S, DEADLINE_MARGIN_S, QaCluster, at
from tests.faults.nodes import API, GUARD_WORKER, KUBELET, NodeLook
from tests.faults.quick_rows import kill_now
from tests.practice.plugin import practice
from tests.stack.running import wait_until

pytestmark = [pytest.mark.range, pytest.mark.timeout(600, func_only=True)]
HOLD_S = 60
BOOT_S = 90
"""From the plug that is pulled to a guard that runs again: kubelet, runtime, container."""
AGAIN_S = 30


@pytest.mark.long
def test_row_26_every_kubelet_restarted_while_the_api_is_down(qa: QaCluster) -> None:
    before = qa.look.processes(API)
    run = qa.start(API_DOWN, hold_s=30)
    qa.await_active(run)
    assert len(qa.nodes_down()) == 3
    old = {node.name: node.program(KUBELET) for node in qa.look.nodes}
    assert all(len(found) == 1 for found in old.values()), old
    kill_now([process for found in old.values() for process in found])
    for node in qa.look.nodes:
        fresh = _other_than(node, old[node.name])
        assert len(fresh) == 1
    assert qa.state(run) == "active", "a kubelet that restarts is no end of the fault"
    assert len(qa.nodes_down()) == 3, "a restarted kubelet started what is held"
    orders = qa.await_undo_on_guards(run, within_s=30 + 5)
    assert {order["undo_reason"] for order in orders.values()} == {"requested"}
    row = qa.await_clean(run, within_s=30 + DEADLINE_MARGIN_S + BUDGET_S)
    restored_s = at(row["restored_at"]) - max(at(o["undo_asked_at"]) for o in orders.values())
    assert restored_s < BUDGET_S
    now = qa.look.processes(API)
    assert all(now[name].isdisjoint(before[name]) for name in before)


def _other_than(node: NodeLook, old: frozenset[ProcessMark]) -> frozenset[ProcessMark]:
    def look() -> frozenset[ProcessMark]:
        return node.program(KUBELET) - old

    return wait_until(look, within_s=AGAIN_S, what=f"a fresh kubelet on {node.name}")


def test_row_23_a_node_restarted_while_active_is_restored_without_an_api(qa: QaCluster) -> None:
    run = qa.start(API_DOWN, hold_s=HOLD_S + BOOT_S)
    qa.await_active(run)
    _restart(qa, "qa-2")
    order = _undone_after_boot(qa, run, "qa-2")
    assert order["injected_at"]
    assert order["recipe"]["order_id"] == run
    # The others are held on: nothing but the node's own disk told it what to do.
    assert {"qa-1", "qa-3"} <= set(qa.nodes_down())
    row = qa.await_clean(run, within_s=HOLD_S + BOOT_S + DEADLINE_MARGIN_S + BUDGET_S)
    assert row["verdict"] != "held", "a fault that ended early on one node is no proof"
    assert qa.states(run).count("injecting") == 1
    found = qa.look.node("qa-2").order()
    assert found is not None
    assert found["injected_at"] == order["injected_at"], "injected again after the boot"


def _restart(qa: QaCluster, name: str) -> None:
    """Pull the node's plug; it is started again with the same disk."""
    practice("restart-node", name, "--name", qa.look.facts.name)


def _undone_after_boot(qa: QaCluster, run: str, name: str) -> dict[str, Any]:
    """The node's order once its guard has undone it, because of the boot and of nothing else."""
    node, began = qa.look.node(name), time.monotonic()
    wait_until(lambda: node.guard(GUARD_WORKER), within_s=BOOT_S, what=f"the guard on {name} runs")
    left_s = BOOT_S - (time.monotonic() - began)

    def look() -> dict[str, Any] | None:
        order = node.order()
        begun = order and order["phase"] in ("undoing", "stuck", "undone")
        return order if begun else None

    order = wait_until(look, within_s=max(left_s, 5), what=f"the undo on {name} has begun")
    assert order["undo_reason"] == "boot", order
    assert run in node.tombstones() or order["phase"] != "undone"
    return order
