"""Everything beside the conductor dies or is deployed anew; the fault ends on time."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from config.stack.layout import CHECKOUT, MARKER
from config.stack.processes import processes_of
from tests.faults.cluster import API_DOWN, HOLD_S, QaCluster, at
from tests.faults.nodes import API, SCHEDULER
from tests.faults.quick_rows import kill_now, signal_all
from tests.stack.running import RunningStack, clean_environment, wait_until

pytestmark = [pytest.mark.range, pytest.mark.timeout(400, func_only=True)]
GUARD_LEASE_S = 45
WATCHDOG_ABORT_S = 5


def test_row_10_every_process_of_ours_killed_while_the_api_is_down(qa: QaCluster) -> None:
    run = qa.start(API_DOWN, hold_s=30)
    qa.await_active(run)
    assert len(qa.nodes_down()) == 3
    killed = _kill_everything(qa.stack)
    orders = qa.await_undo_on_guards(run, ("qa-1", "qa-2", "qa-3"), within_s=GUARD_LEASE_S + 5)
    for name, order in orders.items():
        assert order["undo_reason"] == "lease", name
        took = at(order["undo_asked_at"]) - killed
        assert 0 < took <= GUARD_LEASE_S + 1, f"{name}: {took}"
    wait_until(
        lambda: qa.look.unsteady() + qa.look.left_behind(qa.manifests_before) == [],
        within_s=60,
        what="the guards alone restored the cluster",
    )
    processes = qa.look.processes(API)
    assert processes_of(qa.stack.stack.state_dir, marker=MARKER) == [], "something of ours ran"
    _start_again(qa.stack)
    row = qa.await_clean(run)
    assert row["verdict"] == "inconclusive"
    assert qa.states(run).count("injecting") == 1
    assert qa.look.processes(API) == processes, "coming back, we touched a node"
    wait_until(lambda: qa.vera.get(f"/runs/{run}/")[0] == 200, within_s=20, what="the run's page")


def _kill_everything(stack: RunningStack) -> float:
    """SIGKILL to the demo, its supervisor and all of their programs, database and all."""
    ours = processes_of(stack.stack.state_dir, marker=MARKER)
    killed = time.time()
    # First who would start others again.
    if stack.process is not None:
        stack.process.kill()
    signal_all(sorted(ours, key=lambda mark: mark.start_ticks), signal.SIGKILL)
    if stack.process is not None:
        stack.process.wait(timeout=10)
    wait_until(
        lambda: processes_of(stack.stack.state_dir, marker=MARKER) == [],
        within_s=10,
        what="all of ours are dead",
    )
    return killed


def _start_again(running: RunningStack) -> None:
    """As a person would: the same command on the same state directory."""
    stack = running.stack
    with (stack.state_dir / "demo.out").open("wb") as output:
        running.process = subprocess.Popen(
            [
                *(sys.executable, "manage.py", "demo", f"--state-dir={stack.state_dir}"),
                *(f"--port={stack.port}", "--attach-range", "--range", stack.range_name),
            ],
            cwd=CHECKOUT,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    running.await_started()
    running.await_registered()


def test_row_11_redis_flushed_and_killed_during_active(qa: QaCluster) -> None:
    """Row 12 beside it: Redis comes back, and nothing runs a second time."""
    run = qa.start()
    qa.await_active(run)
    runs = len(qa.runs())
    qa.broker().flushall()
    kill_now(qa.stack.marks("redis"))
    qa.stack.stop_program("redis")
    try:
        orders = qa.await_undo_on_guards(run, within_s=HOLD_S + 5)
        row = qa.row(run)
        for name, order in orders.items():
            held_s = at(order["undo_asked_at"]) - at(row["bitten_at"])
            assert HOLD_S - 1 <= held_s <= HOLD_S + 2, f"{name} was held for {held_s} s"
            assert order["undo_reason"] == "requested"
        qa.await_state(run, "observing", within_s=60)
    finally:
        qa.stack.start_program("redis")
    injected = qa.look.orders()
    processes = qa.look.processes(SCHEDULER)
    row = qa.await_clean(run)
    assert row["doubt"] == ""
    wait_until(lambda: _beat_is_heard(qa), within_s=30, what="workers hear the broker again")
    assert len(qa.runs()) == runs
    assert qa.states(run).count("injecting") == 1
    assert (qa.look.orders(), qa.look.processes(SCHEDULER)) == (injected, processes)


def _beat_is_heard(qa: QaCluster) -> bool:
    """A look for due work that is sent now is taken off the queue."""
    return qa.waiting("default") == 0


def test_row_15_web_killed_right_after_the_click_on_abort(qa: QaCluster) -> None:
    """The conductor is stopped too, so that nobody can have acted on the click before."""
    run = qa.start(hold_s=30)
    qa.await_active(run)
    conductor = qa.stack.marks("worker-faults")
    web = qa.stack.marks("web")
    signal_all(conductor, signal.SIGSTOP)
    try:
        clicked = qa.vera.click_abort(run)
        kill_now(web)
        assert qa.state(run) == "active"
        orders = qa.await_undo_on_guards(run, within_s=WATCHDOG_ABORT_S + 1)
        for name, order in orders.items():
            took = at(order["undo_asked_at"]) - clicked
            assert took <= WATCHDOG_ABORT_S, f"{name}: {took}"
    finally:
        signal_all(conductor, signal.SIGCONT)
    wait_until(lambda: qa.stack.get("/healthz")[0] == 200, within_s=30, what="web is back")
    assert qa.vera.get(f"/runs/{run}/")[0] == 200
    row = qa.await_clean(run)
    assert row["verdict"] == "inconclusive"
    assert "Vera" in _aborted_by(qa, run)


def _aborted_by(qa: QaCluster, run: str) -> str:
    [person] = qa.query(
        "SELECT u.first_name FROM gamedays_injection i "
        "JOIN core_user u ON u.id = i.abort_requested_by_id WHERE i.id = %s",
        run,
    )
    return str(person["first_name"])


DEPLOY = (
    "web",
    "beat",
    "worker-default",
    "watchdog",
    "range",
    "worker-faults",
    "worker-steps",
    "redis",
    "postgres",
)


def test_row_44_every_process_restarted_one_after_another(qa: QaCluster) -> None:
    run = qa.start(hold_s=60)
    qa.await_active(run)
    before = {name: qa.stack.pid(name) for name in DEPLOY}
    for program in DEPLOY:
        qa.stack.restart(program)
        qa.stack.await_running(program)
        if program == "range":
            # So far only those who hold no fault went away: it is as live as before.
            assert qa.state(run) == "active"
    assert all(qa.stack.pid(name) != pid for name, pid in before.items())
    qa.await_undo_on_guards(run, within_s=5)
    row = qa.await_clean(run)
    assert row["verdict"] == "inconclusive"
    assert row["doubt"] == "The worker was told to stop."
    assert qa.states(run)[:7] == [
        *("planned", "preflight", "arming", "armed", "injecting", "active", "undoing"),
    ]
    assert qa.states(run)[-2:] == ["observing", "clean"]
    wait_until(
        lambda: qa.query("SELECT phase FROM core_clustersetup")[0]["phase"] == "ready",
        within_s=60,
        what="the range is registered as before",
    )
