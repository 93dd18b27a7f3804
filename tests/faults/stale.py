"""Whether a conductor that was stopped, and has been woken up, has left its run."""

from __future__ import annotations

from pathlib import Path

from tests.faults.cluster import QaCluster
from tests.stack.running import wait_until


def threads(qa: QaCluster) -> int:
    """Threads of the faults worker: a conductor brings dozens and takes them with it."""
    return len(list(Path(f"/proc/{qa.stack.pid('worker-faults')}/task").iterdir()))


def await_left(qa: QaCluster, idle: int) -> None:
    """Wait until the stale conductor is gone; the pool may keep the one thread that it used."""
    wait_until(
        lambda: threads(qa) <= idle + 1, within_s=40, what="the stale conductor has left the run"
    )
