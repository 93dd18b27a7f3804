"""A short task must not wait behind a long one while another thread is free."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack.running import RunningStack, wait_until
from tests.stack.workers import send, worker

pytestmark = pytest.mark.long

QUEUE = "tests"


def test_a_busy_worker_leaves_what_it_cannot_start_to_others(
    bare_stack: RunningStack, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    short = [tmp_path / f"short-{number}" for number in range(4)]
    try:
        with worker(bare_stack, "first", tmp_path / "first.log", queue=QUEUE, threads=2):
            # Both threads of the first worker are taken, and four short tasks wait.
            send(bare_stack, QUEUE, ("tests.occupy", release), ("tests.occupy", release))
            send(bare_stack, QUEUE, *(("tests.touch", path) for path in short))
            with worker(bare_stack, "second", tmp_path / "second.log", queue=QUEUE, threads=2):
                wait_until(
                    lambda: all(path.exists() for path in short),
                    within_s=15,
                    what="the second worker runs what the first could not start",
                )
                assert not release.exists()
                release.touch()
    finally:
        release.touch()
