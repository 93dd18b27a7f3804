"""Abort while every thread of every worker is taken, each by a task that does not end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from config.stack.programs import DEFAULT_THREADS, FAULT_THREADS
from tests.faults.cluster import QaCluster, at
from tests.stack.running import wait_until
from tests.stack.workers import in_place_of, send

pytestmark = [pytest.mark.range, pytest.mark.timeout(400, func_only=True)]
CONDUCTOR_S = 2
"""Click to undo on the guards, from a living conductor."""


class FullPools:
    """Both workers, with tasks of the tests' that hold threads until they are let go."""

    def __init__(self, qa: QaCluster, folder: Path) -> None:
        self._qa, self._folder = qa, folder
        self._releases: list[Path] = []
        self._late: list[Path] = []

    def take(self, queue: str, threads: int) -> None:
        """Take so many threads, and send one message more, for which none is left."""
        release, late = self._folder / f"release-{queue}", self._folder / f"late-{queue}"
        self._releases.append(release)
        self._late.append(late)
        send(self._qa.stack, queue, *[("tests.occupy", release)] * threads)

        def taken() -> bool:
            return len(list(self._folder.glob(f"{release.name}.taken-*"))) == threads

        wait_until(taken, within_s=20, what=f"{threads} threads taken")
        send(self._qa.stack, queue, ("tests.touch", late))

    def assert_full(self) -> None:
        """Nothing that was sent last has begun."""
        begun = [path.name for path in self._late if path.exists()]
        assert begun == [], "a thread was free after all"

    def let_go(self) -> None:
        for release in self._releases:
            release.touch()


@pytest.fixture
def pools(qa: QaCluster, tmp_path: Path) -> Iterator[FullPools]:
    found = FullPools(qa, tmp_path)
    with ExitStack() as workers:
        for program in ("worker-default", "worker-faults"):
            workers.enter_context(in_place_of(qa.stack, program, tmp_path / f"{program}.log"))
        # Let go first: a worker that is told to stop waits for its tasks.
        workers.callback(found.let_go)
        yield found


def test_row_37_abort_in_active_with_redis_stopped_and_no_thread_left(
    qa: QaCluster, pools: FullPools
) -> None:
    run = qa.start(hold_s=50)
    qa.await_active(run)
    pools.take("faults", FAULT_THREADS - 1)  # the conductor has the other one
    pools.take("default", DEFAULT_THREADS)
    qa.stack.stop_program("redis")
    try:
        assert qa.state(run) == "active"
        clicked = qa.vera.click_abort(run)
        orders = qa.await_undo_on_guards(run, within_s=CONDUCTOR_S + 1)
        took = {name: at(order["undo_asked_at"]) - clicked for name, order in orders.items()}
        pools.assert_full()
        assert max(took.values()) <= CONDUCTOR_S, f"seconds from the click to the undo: {took}"
    finally:
        qa.stack.start_program("redis")
    row = qa.await_clean(run)
    assert row["verdict"] == "inconclusive"
    assert row["doubt"].startswith("Aborted by Vera")
