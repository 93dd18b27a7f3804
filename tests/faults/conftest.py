"""One stack on the range for all rows; every row leaves the cluster as it found it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from practice.facts import RangeFacts
from tests.faults.cluster import FINAL, QaCluster
from tests.faults.nodes import ClusterLook
from tests.stack.running import RunningStack, wait_until

STEADY_S = 180
"""An API server that lost its etcd is restarted by its own liveness probe, after 95 s."""
PROGRAMS = (
    "postgres",
    "redis",
    "web",
    "worker-default",
    "worker-faults",
    "worker-steps",
    "beat",
    "watchdog",
)


@pytest.fixture(scope="session")
def qa_session(stack: RunningStack, practice_range: RangeFacts) -> QaCluster:
    """The registered range with its guards installed, all steady."""
    look = ClusterLook.of(practice_range)
    wait_until(lambda: not look.unsteady(), within_s=STEADY_S, what="a steady range", every_s=1.0)
    qa = QaCluster(stack, look)
    await_steady(qa)
    return qa


@pytest.fixture
def qa(qa_session: QaCluster) -> Iterator[QaCluster]:
    """The steady cluster. After the test it comes back to steady, and nothing is left behind."""
    yield qa_session
    put_right(qa_session)
    await_steady(qa_session)


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
    """Steady: every component healthy, no fault left, route changes arrive, no slot taken."""
    wrong: list[str] = []

    def look() -> bool:
        wrong[:] = qa.look.unsteady() + qa.look.left_behind(qa.manifests_before)
        wrong[:] = wrong or qa.look.routes_behind()
        return not wrong

    try:
        wait_until(look, within_s=STEADY_S, what="a steady cluster", every_s=0.5)
    except AssertionError as error:
        raise AssertionError(f"not steady within {STEADY_S} s: {wrong}") from error
    held = qa.query("SELECT holder FROM core_slotclaim WHERE released_at IS NULL")
    assert held == [], f"the slot is still taken: {held}"
