"""One stack on the range for all rows; every row leaves the cluster as it found it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from practice.facts import RangeFacts
from tests.faults.cluster import FINAL, QaCluster
from tests.faults.nodes import ClusterLook
from tests.stack.running import RunningStack, wait_until

STEADY_S = 180
"""An API server that lost its etcd is restarted by its own liveness probe, after 95 s."""
PROGRAMS = ("postgres", "redis", "web", "worker-default", "worker-faults", "beat", "watchdog")


@pytest.fixture(scope="session")
def qa_session(stack: RunningStack, practice_range: RangeFacts) -> QaCluster:
    """The registered range with its guards installed, all steady."""
    look = ClusterLook.of(practice_range)
    wait_until(lambda: not look.unsteady(), within_s=STEADY_S, what="a steady range", every_s=1.0)
    return QaCluster(stack, look)


@pytest.fixture
def qa(qa_session: QaCluster) -> Iterator[QaCluster]:
    """The cluster, steady before; afterwards it must come back to steady with nothing left."""
    await_steady(qa_session)
    yield qa_session
    put_right(qa_session)
    await_steady(qa_session)
    assert qa_session.look.left_behind(qa_session.manifests_before) == []


def put_right(qa: QaCluster) -> None:
    """Whatever a failed test left stopped runs again; a run that is still live is aborted."""
    for name, info in qa.stack.supervisor.states().items():
        if info["pid"]:
            qa.stack.signal(name, signal.SIGCONT)
    for program in PROGRAMS:
        qa.stack.start_program(program)
        qa.stack.await_running(program)
    wait_until(lambda: qa.stack.get("/healthz")[0] == 200, within_s=30, what="pages are served")
    for run in _live(qa):
        qa.vera.click_abort(run)
    wait_until(lambda: not _live(qa), within_s=300, what="no run is live")


def _live(qa: QaCluster) -> list[str]:
    return [run["id"] for run in qa.runs() if run["state"] not in FINAL]


def await_steady(qa: QaCluster) -> None:
    """Steady: every component healthy in two looks, no fault left, and no slot taken."""
    seen_since: list[float] = []

    def look() -> bool:
        wrong = qa.look.unsteady() + qa.look.left_behind(qa.manifests_before)
        if wrong:
            seen_since.clear()
        else:
            seen_since.append(time.monotonic())
        return len(seen_since) >= 2

    wait_until(look, within_s=STEADY_S, what="the cluster is steady again", every_s=0.5)
    held = qa.query("SELECT holder FROM core_slotclaim WHERE released_at IS NULL")
    assert held == [], f"the slot is still taken: {held}"
