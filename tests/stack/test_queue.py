"""A short task must not wait behind a long one while another thread is free."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.stack.layout import CHECKOUT
from tests.stack.running import RunningStack, clean_environment, wait_until

QUEUE = "tests"


@contextmanager
def worker(stack: RunningStack, name: str, log: Path, *, threads: int) -> Iterator[None]:
    """A worker as the stack runs them, on the tests' queue."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "celery", "-A", "tests.stack.celery_app", "worker"),
                *(f"--hostname={name}@%h", f"--queues={QUEUE}", "--pool=threads"),
                *(f"--concurrency={threads}", "--without-gossip", "--without-mingle"),
                *("--without-heartbeat", "--loglevel=INFO"),
            ],
            cwd=CHECKOUT,
            env=clean_environment(BELAY_STATE_DIR=str(stack.stack.state_dir)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: _is_up(process, log), within_s=90, what=f"worker {name} is up")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=70)


def _is_up(process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    return " ready." in log.read_text()


def send(stack: RunningStack, *calls: tuple[str, Path]) -> None:
    lines = [
        f"app.send_task({task!r}, args=[{str(path)!r}], queue={QUEUE!r})" for task, path in calls
    ]
    code = "\n".join(["from config.celery import app", *lines])
    stack.manage("shell", "-v0", "-c", code)


def test_a_busy_worker_leaves_what_it_cannot_start_to_others(
    bare_stack: RunningStack, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    short = [tmp_path / f"short-{number}" for number in range(4)]
    try:
        with worker(bare_stack, "first", tmp_path / "first.log", threads=2):
            # Both threads of the first worker are taken, and four short tasks wait.
            send(bare_stack, ("tests.occupy", release), ("tests.occupy", release))
            send(bare_stack, *(("tests.touch", path) for path in short))
            with worker(bare_stack, "second", tmp_path / "second.log", threads=2):
                wait_until(
                    lambda: all(path.exists() for path in short),
                    within_s=15,
                    what="the second worker runs what the first could not start",
                )
                assert not release.exists()
                release.touch()
    finally:
        release.touch()
