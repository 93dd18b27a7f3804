"""Abort, by anybody who may see the cluster, in every state and with parts of ours gone."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from config.stack.processes import ProcessMark
from tests.faults.cluster import API_DOWN, QaCluster, at
from tests.faults.nodes import SCHEDULER
from tests.faults.quick_rows import QuickRows, kill_now, signal_all
from tests.stack.running import wait_until

pytestmark = [pytest.mark.range, pytest.mark.timeout(300, func_only=True)]
CONDUCTOR_S = 2
"""Click to undo on the guards, from a living conductor."""
WATCHDOG_S = 5
"""The same without one."""
ARMED_TRIES = 3


def _assert_undo_within(qa: QaCluster, run: str, clicked: float, limit_s: float) -> None:
    orders = qa.await_undo_on_guards(run, within_s=limit_s + 1)
    took = {name: at(order["undo_asked_at"]) - clicked for name, order in orders.items()}
    assert max(took.values()) <= limit_s, f"seconds from the click to the undo: {took}"


def _assert_nothing_but_drills(qa: QaCluster, before: dict[str, dict[str, Any] | None]) -> None:
    """The undo is rehearsed in preflight, with an order that breaks nothing. No other came."""
    for name, order in qa.look.orders().items():
        if order != before[name]:
            assert order is not None
            assert order["recipe"]["fault"]["kind"] == "drill", f"{name} was told of a fault"


def test_row_37_abort_while_planned(qa: QaCluster) -> None:
    """Nobody conducts it yet: the row itself is refused, and its late message does nothing."""
    before, orders = qa.look.processes(SCHEDULER), qa.look.orders()
    worker = qa.stack.marks("worker-faults")
    signal_all(worker, signal.SIGSTOP)
    try:
        run = qa.start()
        assert qa.state(run) == "planned"
        qa.vera.click_abort(run)
        assert qa.state(run) == "refused"
    finally:
        signal_all(worker, signal.SIGCONT)
    later = qa.start()  # the worker takes messages in order: the late one is behind us then
    wait_until(lambda: qa.state(later) != "planned", within_s=20, what="the next one is conducted")
    qa.vera.click_abort(later)
    qa.await_state(later, "refused", within_s=30)
    assert qa.state(run) == "refused"
    assert "Vera" in qa.row(run)["reason"]
    _assert_nothing_but_drills(qa, orders)
    qa.assert_never_touched(run, before)


def test_row_37_abort_in_preflight(qa: QaCluster) -> None:
    before, orders = qa.look.processes(SCHEDULER), qa.look.orders()
    run = qa.start()
    qa.await_state(run, "preflight", within_s=20)
    qa.vera.click_abort(run)
    wait_until(lambda: qa.state(run) == "refused", within_s=CONDUCTOR_S, what="refused")
    assert "Vera" in qa.row(run)["reason"]
    _assert_nothing_but_drills(qa, orders)
    qa.assert_never_touched(run, before)


@pytest.mark.long
def test_row_37_abort_in_arming_with_the_conductor_stopped(qa: QaCluster) -> None:
    before = qa.look.processes(SCHEDULER)
    run = qa.start()
    qa.await_quickly(run, "arming", within_s=45)
    conductor = qa.stack.marks("worker-faults")
    qa.step_until("worker-faults", lambda rows: rows.state(run) == "arming", within_s=5)
    try:
        clicked = qa.vera.click_abort(run)
        _assert_undo_or_tombstone_within(qa, run, clicked)
    finally:
        signal_all(conductor, signal.SIGCONT)
    row = qa.await_clean(run)
    assert row["verdict"] == "inconclusive"
    qa.assert_never_touched(run, before)


def _assert_undo_or_tombstone_within(qa: QaCluster, run: str, clicked: float) -> None:
    """A guard that was not told of the order yet keeps a tombstone of it instead."""

    def settled() -> bool:
        return all(run in qa.look.node(name).tombstones() for name in qa.row_targets(run))

    # Disarming ends with a tombstone too, so one look tells for both.
    wait_until(settled, within_s=WATCHDOG_S, what="an undo or a tombstone everywhere", every_s=0.05)
    for order in qa.look.orders().values():
        if order is not None and order["recipe"]["order_id"] == run:
            assert at(order["undo_asked_at"]) - clicked <= WATCHDOG_S


@pytest.mark.long
def test_row_37_abort_while_armed_and_the_conductor_goes_on(qa: QaCluster) -> None:
    run, before = _stopped_while_armed(qa)
    try:
        clicked = qa.vera.click_abort(run)
    finally:
        signal_all(qa.stack.marks("worker-faults"), signal.SIGCONT)
    _assert_undo_within(qa, run, clicked, CONDUCTOR_S)
    row = qa.await_clean(run)
    assert "injecting" not in qa.states(run)
    assert row["doubt"].startswith("Aborted by Vera")
    qa.assert_never_touched(run, before)


def _stopped_while_armed(qa: QaCluster) -> tuple[str, dict[str, frozenset[ProcessMark]]]:
    """A run whose conductor stands still between `armed` and `injecting`, and the processes before.

    The moment lasts a few milliseconds. A busy machine may miss it: such a run is aborted, and
    the next one tried.
    """
    for _ in range(ARMED_TRIES):
        before = qa.look.processes(SCHEDULER)
        run = qa.start()
        qa.await_quickly(run, "arming", within_s=45)
        state = qa.step_until(
            "worker-faults",
            partial(_state_after_arming, run),
            within_s=30,
        )
        if state == "armed":
            return run, before
        signal_all(qa.stack.marks("worker-faults"), signal.SIGCONT)
        qa.vera.click_abort(run)
        qa.await_clean(run)
    raise AssertionError(f"no run of {ARMED_TRIES} was caught while it was armed")


def _state_after_arming(run: str, rows: QuickRows) -> str:
    seen = rows.state(run)
    return "" if seen == "arming" else seen


def test_row_37_abort_in_injecting_with_the_conductor_stopped(qa: QaCluster) -> None:
    run = qa.start()
    qa.await_quickly(run, "injecting", within_s=45)
    conductor = qa.stack.marks("worker-faults")
    try:
        qa.step_until("worker-faults", lambda rows: rows.state(run) == "injecting", within_s=5)
        clicked = qa.vera.click_abort(run)
        _assert_undo_within(qa, run, clicked, WATCHDOG_S)
    finally:
        signal_all(conductor, signal.SIGCONT)
    row = qa.await_clean(run)
    assert (row["verdict"], row["bitten_at"]) == ("inconclusive", None)
    assert row["doubt"].startswith("Aborted by Vera")


@contextmanager
def redis_stopped_and_workers_busy(qa: QaCluster) -> Iterator[None]:
    """No message gets through, and no thread of any other worker is free to take one."""
    busy = qa.stack.marks("worker-default")
    signal_all(busy, signal.SIGSTOP)
    qa.stack.stop_program("redis")
    try:
        yield
    finally:
        qa.stack.start_program("redis")
        signal_all(busy, signal.SIGCONT)


@pytest.mark.long
def test_row_37_abort_in_active_without_redis(qa: QaCluster) -> None:
    run = qa.start(hold_s=30)
    qa.await_active(run)
    with redis_stopped_and_workers_busy(qa):
        clicked = qa.vera.click_abort(run)
        _assert_undo_within(qa, run, clicked, CONDUCTOR_S)
        # A second click, and later ones, change nothing.
        qa.await_state(run, "observing", within_s=90)
        asked = qa.row(run)["abort_requested_at"]
        qa.vera.click_abort(run)
        assert qa.row(run)["abort_requested_at"] == asked
    row = qa.await_clean(run)
    assert row["verdict"] == "inconclusive"
    assert row["doubt"].startswith("Aborted by Vera")


def test_row_37_abort_in_active_without_redis_and_conductor(qa: QaCluster) -> None:
    run = qa.start(API_DOWN, hold_s=30)
    qa.await_active(run)
    with redis_stopped_and_workers_busy(qa):
        kill_now(qa.stack.marks("worker-faults"))
        clicked = qa.vera.click_abort(run)
        _assert_undo_within(qa, run, clicked, WATCHDOG_S)
        row = qa.await_clean(run)
    assert row["verdict"] == "inconclusive"
    assert row["doubt"].startswith("Aborted by Vera")


@pytest.mark.long
def test_row_37_abort_while_undoing(qa: QaCluster) -> None:
    """The undo is on its way already: the click is kept, and asks nobody for a second one."""
    run = qa.start(hold_s=5)
    qa.await_active(run)
    qa.await_quickly(run, "undoing", within_s=30)
    clicked = qa.vera.click_abort(run)
    _assert_undo_within(qa, run, clicked, CONDUCTOR_S)
    asked = {name: order["undo_asked_at"] for name, order in _orders_of(qa, run).items()}
    row = qa.await_clean(run)
    assert row["abort_requested_at"] is not None
    assert qa.states(run).count("undoing") == 1
    after = {name: order["undo_asked_at"] for name, order in _orders_of(qa, run).items()}
    assert after == asked, "a second undo was asked for"


def _orders_of(qa: QaCluster, run: str) -> dict[str, dict[str, Any]]:
    """The guards' journals of this run."""
    return {
        name: order
        for name, order in qa.look.orders().items()
        if order is not None and order["recipe"]["order_id"] == run
    }


@pytest.mark.long
def test_row_37_abort_when_it_is_undone_already(qa: QaCluster) -> None:
    """In verifying and observing nothing is left to undo; the click is kept, the run ends clean."""
    run = qa.start(hold_s=5)
    qa.await_state(run, "verifying", "observing", within_s=90)
    orders = qa.look.orders()
    qa.vera.click_abort(run)
    row = qa.await_clean(run)
    assert row["abort_requested_at"] is not None
    assert qa.look.orders() == orders
