"""On a real cluster, a sample of what the simulator does at every step: the conductor breaks there.

Each line names a step, its time within the run, and how it breaks (tests/faults/trapped.py). The
real watchdog and the real guards bring the fault home; the nodes are held against the rows.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from config.stack.layout import CHECKOUT
from config.stack.programs import ENGINE_DB_DEADLINE_S
from tests.faults.cluster import API_DOWN, QaCluster
from tests.faults.nodes import API
from tests.stack.running import clean_environment

pytestmark = [pytest.mark.range, pytest.mark.long, pytest.mark.timeout(600, func_only=True)]
WORKER = "worker-faults"
CLEAN_S = 300
BAD_IMAGE = {"change": "bad-image", "target": "shop/prices"}
BEFORE_THE_EFFECT = ("db:move:arming", "guard:arm", "db:move:armed")
SAMPLE = [
    # scenario, step, nth, way
    (API_DOWN, "db:move:preflight", 1, "kill-after"),
    (API_DOWN, "guard:inject drill", 2, "kill-after"),
    (API_DOWN, "db:move:arming", 1, "kill-after"),
    (API_DOWN, "guard:arm", 2, "kill-before"),
    (API_DOWN, "guard:arm", 3, "lose-answer"),
    (API_DOWN, "db:move:armed", 1, "lose-answer"),
    (API_DOWN, "db:move:injecting", 1, "kill-before"),
    (API_DOWN, "db:move:injecting", 1, "lose-answer"),
    (API_DOWN, "guard:inject", 2, "kill-after"),
    (API_DOWN, "guard:inject", 1, "lose-answer"),
    (API_DOWN, "db:move:active", 1, "kill-before"),
    (API_DOWN, "db:move:undoing", 1, "kill-before"),
    (API_DOWN, "guard:undo", 1, "kill-after"),
    (API_DOWN, "db:move:verifying", 1, "lose-answer"),
    (API_DOWN, "db:move:observing", 1, "kill-after"),
    (API_DOWN, "db:close", 1, "kill-before"),
    (API_DOWN, "db:close", 1, "lose-answer"),
    ("wrong-configuration", "kube:post token", 1, "kill-after"),
    ("wrong-configuration", "guard:arm", 1, "kill-after"),
    ("wrong-configuration", "guard:inject", 1, "kill-after"),
    ("wrong-configuration", "kube:delete serviceaccounts", 1, "lose-answer"),
]


@pytest.mark.parametrize(("scenario", "step", "nth", "way"), SAMPLE)
def test_the_conductor_breaks_at_a_step(
    qa: QaCluster, scenario: str, step: str, nth: int, way: str
) -> None:
    before = qa.look.processes(API)
    with _no_other_conductor(qa):
        run = qa.start(scenario, **(BAD_IMAGE if scenario != API_DOWN else {}))
        said = _conduct(qa, run, step, nth, way)
    assert f"broke at {step}: {way}" in said, f"it never came to that step:\n{said}"
    qa.await_state(run, "clean", "refused", within_s=CLEAN_S)
    row = qa.row(run)
    if row["state"] == "clean":
        row = qa.await_clean(run)
    print(f"{step} {way}: {row['state']} {row['verdict']}, {row['doubt'] or row['reason']}")
    if row["bitten_at"] is None:
        assert row["verdict"] in ("", "inconclusive")
    if scenario == API_DOWN and step in BEFORE_THE_EFFECT:
        qa.assert_never_touched(run, before, API)
    injected = [o for o in qa.look.orders().values() if o and o["recipe"]["order_id"] == run]
    assert all(order["phase"] == "undone" for order in injected)


@contextmanager
def _no_other_conductor(qa: QaCluster) -> Iterator[None]:
    """The stack's own faults worker is away; its watchdog is not."""
    qa.stack.stop_program(WORKER)
    try:
        yield
    finally:
        qa.stack.start_program(WORKER)


def _conduct(qa: QaCluster, run: str, step: str, nth: int, way: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.trapped", run, step, str(nth), way],
        cwd=CHECKOUT,
        env=clean_environment(
            BELAY_STATE_DIR=str(qa.stack.stack.state_dir),
            BELAY_DB_DEADLINE_S=str(ENGINE_DB_DEADLINE_S),
        ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=CLEAN_S,
    )
    return done.stdout + done.stderr
