"""The conductor dies, stops and wakes up: what it broke is undone, and never broken again."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from config.stack.processes import ProcessMark
from tests.faults.cluster import (
    API_DOWN,
    BUDGET_S,
    DEADLINE_MARGIN_S,
    HOLD_S,
    QaCluster,
    RefusedError,
    at,
)
from tests.faults.nodes import SCHEDULER
from tests.faults.quick_rows import kill_now, signal_all
from tests.faults.stale import await_left, threads
from tests.stack.running import wait_until

pytestmark = [pytest.mark.range, pytest.mark.timeout(300, func_only=True)]
ROW_LEASE_S = 15
TAKEOVER_S = ROW_LEASE_S + 5
IDLE_IN_TRANSACTION_S = 2
TRIES = 3


def test_row_06_killed_after_the_effect_and_before_active_is_committed(qa: QaCluster) -> None:
    run, before, killed = _kill_after_the_effect(qa)
    orders = qa.await_undo_on_guards(run, within_s=TAKEOVER_S)
    for name, order in orders.items():
        assert at(order["undo_asked_at"]) - killed <= TAKEOVER_S, name
    hit = {name for name, order in orders.items() if order["injected_at"]}
    assert hit, "the effect was there, and no guard's journal knows of it"
    row = qa.await_clean(run)
    deadline_s = HOLD_S + DEADLINE_MARGIN_S + BUDGET_S
    assert at(row["restored_at"]) - killed < deadline_s
    assert row["bitten_at"] is None
    assert "active" not in qa.states(run)
    assert row["verdict"] == "inconclusive"
    assert "lost" in row["doubt"]
    _assert_injected_once(qa, run, orders, before)


def _kill_after_the_effect(
    qa: QaCluster,
) -> tuple[str, dict[str, frozenset[ProcessMark]], float]:
    """SIGKILL the conductor at the moment when the first process is gone. Bounded tries: the
    moment lasts a few milliseconds, and it is checked that it was hit."""
    for _try in range(TRIES):
        run = qa.start()
        before = qa.look.processes(SCHEDULER)
        targets = [mark for marks in before.values() for mark in marks]
        conductor = qa.stack.marks("worker-faults")
        qa.await_quickly(run, "injecting", "active", within_s=45)
        _await_first_death(targets)
        killed = kill_now(conductor)
        if qa.state(run) == "injecting":
            return run, before, killed
        qa.vera.click_abort(run)
        qa.await_clean(run)
    pytest.fail(f"`active` was committed before the kill, {TRIES} times")


def _await_first_death(targets: list[ProcessMark]) -> None:
    wait_until(
        lambda: any(not target.alive for target in targets),
        within_s=10,
        what="the effect",
        every_s=0.001,
    )


def _assert_injected_once(
    qa: QaCluster,
    run: str,
    orders: dict[str, dict[str, Any]],
    before: dict[str, frozenset[ProcessMark]],
) -> None:
    """One injection per node, in the rows, in the journals, and in the process table."""
    assert qa.states(run).count("injecting") == 1
    now = qa.look.processes(SCHEDULER)
    for name, order in orders.items():
        found = qa.look.node(name).order()
        assert found is not None
        assert found["injected_at"] == order["injected_at"], f"{name} injected again"
        if not order["injected_at"]:
            assert now[name] == before[name], f"{name} was never told to inject"
            continue
        assert now[name].isdisjoint(before[name]), f"the old process of {name} runs"
        # What runs now was started by the undo, and nothing ended it since.
        [process] = now[name]
        assert abs(_started(process) - at(found["undone_at"])) < 5


def _started(process: ProcessMark) -> float:
    """When a process started, in seconds since 1970."""
    booted = time.time() - float(Path("/proc/uptime").read_text().split()[0])
    return booted + process.start_ticks / 100


def test_row_07_killed_during_active(qa: QaCluster) -> None:
    before = qa.numbered()
    run = qa.start(API_DOWN, hold_s=30)
    qa.await_active(run)
    assert qa.nodes_down() == ["qa-1", "qa-2", "qa-3"]
    qa.assert_bitten_as_told(run, before)
    killed = kill_now(qa.stack.marks("worker-faults"))
    orders = qa.await_undo_on_guards(run, within_s=TAKEOVER_S)
    took = {name: at(order["undo_asked_at"]) - killed for name, order in orders.items()}
    assert max(took.values()) <= TAKEOVER_S, took
    assert min(took.values()) > 0, took
    row = qa.await_clean(run)
    assert row["verdict"] == "inconclusive"
    assert row["doubt"] == "The conductor was lost while the fault was live."
    assert qa.query("SELECT fence FROM gamedays_lease WHERE injection_id = %s", run) == [
        {"fence": 2}
    ]


def test_row_18_stopped_for_a_minute_and_continued(qa: QaCluster) -> None:
    idle = threads(qa)
    run = qa.start(hold_s=20)
    qa.await_active(run)
    conductor = qa.stack.marks("worker-faults")
    stopped = time.time()
    signal_all(conductor, signal.SIGSTOP)
    try:
        orders = qa.await_undo_on_guards(run, within_s=TAKEOVER_S)
        for name, order in orders.items():
            assert at(order["undo_asked_at"]) - stopped <= TAKEOVER_S, name
        row = qa.await_clean(run)
        wait_until(lambda: time.time() - stopped > 60, within_s=60, what="a minute", every_s=1)
        rows, nodes = _all_rows(qa, run), _all_nodes(qa)
    finally:
        signal_all(conductor, signal.SIGCONT)
    await_left(qa, idle)
    assert _all_rows(qa, run) == rows, "a stale conductor changed the rows"
    assert _all_nodes(qa) == nodes, "a stale conductor touched a node"
    assert row["verdict"] == "inconclusive"


@pytest.mark.long
def test_row_18_stopped_before_the_effect_and_continued_after_the_undo(qa: QaCluster) -> None:
    """Row 45 beside it: the inject that comes late meets the tombstone."""
    before, idle = qa.look.processes(SCHEDULER), threads(qa)
    run = qa.start()
    conductor = qa.stack.marks("worker-faults")
    qa.await_quickly(run, "arming", within_s=45)
    qa.step_until("worker-faults", lambda rows: rows.state(run) == "injecting", within_s=30)
    stopped = time.time()
    try:
        for order in qa.look.orders().values():
            assert order is not None
            assert (order["phase"], order["injected_at"]) == ("armed", "")
        orders = qa.await_undo_on_guards(run, within_s=TAKEOVER_S)
        for name, order in orders.items():
            assert at(order["undo_asked_at"]) - stopped <= TAKEOVER_S, name
        wait_until(
            lambda: qa.state(run) in ("observing", "clean"), within_s=60, what="proved restored"
        )
    finally:
        signal_all(conductor, signal.SIGCONT)
    await_left(qa, idle)
    row = qa.await_clean(run)
    qa.assert_never_touched(run, before)
    assert (row["verdict"], row["bitten_at"]) == ("inconclusive", None)


@pytest.mark.long
def test_row_18_stopped_inside_a_transaction_it_keeps_no_lock(qa: QaCluster) -> None:
    """The server ends a transaction whose client says nothing, so that others can undo."""
    idle = threads(qa)
    run = qa.start(hold_s=30)
    qa.await_active(run)
    conductor = qa.stack.marks("worker-faults")
    backend = qa.stop_in_transaction("worker-faults", within_s=20)
    stopped = time.time()
    try:
        wait_until(
            lambda: not qa.backend_lives(backend),
            within_s=IDLE_IN_TRANSACTION_S + 2,
            what="the server takes the locks back",
        )
        orders = qa.await_undo_on_guards(run, within_s=TAKEOVER_S)
        for name, order in orders.items():
            assert at(order["undo_asked_at"]) - stopped <= TAKEOVER_S, name
        wait_until(
            lambda: qa.state(run) in ("observing", "clean"), within_s=90, what="proved restored"
        )
        assert qa.query("SELECT fence FROM gamedays_lease WHERE injection_id = %s", run) == [
            {"fence": 2}
        ]
        row = qa.await_clean(run)
        rows, nodes = _all_rows(qa, run), _all_nodes(qa)
    finally:
        signal_all(conductor, signal.SIGCONT)
    await_left(qa, idle)
    assert _all_rows(qa, run) == rows, "the transaction that was ended changed the rows after all"
    assert _all_nodes(qa) == nodes, "a stale conductor touched a node"
    assert row["verdict"] == "inconclusive"


def test_row_28_a_second_fault_is_refused_by_the_database(qa: QaCluster) -> None:
    run = qa.start(hold_s=30)
    qa.await_active(run)
    with pytest.raises(RefusedError) as refused:
        qa.start_again(run)
    assert refused.value.code == "cluster_busy"
    for sql, constraint in _PAST_ALL_CODE:
        with pytest.raises(psycopg2.errors.UniqueViolation) as violated:
            qa.query(sql, run)
        assert violated.value.diag.constraint_name == constraint
    assert [row["id"] for row in qa.runs() if row["state"] not in ("clean", "refused")] == [run]
    assert qa.state(run) == "active"
    clicked = qa.vera.click_abort(run)
    orders = qa.await_undo_on_guards(run, within_s=5)
    took = {name: at(order["undo_asked_at"]) - clicked for name, order in orders.items()}
    assert max(took.values()) <= 2, f"click to undo, with a living conductor: {took}"
    qa.await_clean(run)


_SECOND_CLAIM = """
INSERT INTO core_slotclaim (cluster_id, kind, holder, taken_at)
SELECT cluster_id, 'injection', gen_random_uuid(), now() FROM gamedays_injection WHERE id = %s
"""
_SECOND_INJECTION = """
INSERT INTO gamedays_injection
SELECT (jsonb_populate_record(
    i, jsonb_build_object('id', gen_random_uuid(), 'state', 'planned')
)).* FROM gamedays_injection i WHERE id = %s
"""
_PAST_ALL_CODE = [
    (_SECOND_CLAIM, "slot_one_holder_per_cluster"),
    (_SECOND_INJECTION, "injection_one_live_per_cluster"),
]
"""A second fault written straight into the tables."""


def _all_rows(qa: QaCluster, run: str) -> Any:
    return (
        qa.row(run),
        qa.timeline(run),
        qa.query("SELECT fence, given_up FROM gamedays_lease WHERE injection_id = %s", run),
        qa.runs(),
    )


def _all_nodes(qa: QaCluster) -> Any:
    return (qa.look.orders(), qa.look.processes(SCHEDULER), qa.look.manifests())
