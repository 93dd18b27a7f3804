"""Workers beside the stack: the product's own programs, with two tasks of the tests' added."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from config.stack.layout import CHECKOUT
from config.stack.programs import belay_programs
from tests.stack.running import RunningStack, clean_environment, wait_until

APP = "tests.stack.celery_app"
STARTS_S = 90
STOPS_S = 70


@contextmanager
def worker(
    stack: RunningStack, name: str, log: Path, *, queue: str, threads: int
) -> Iterator[None]:
    """A worker as the stack runs them, on one queue, with so many threads."""
    command = [
        *(sys.executable, "-m", "celery", "-A", APP, "worker", "--loglevel=INFO"),
        *(f"--hostname={name}@%h", f"--queues={queue}", "--pool=threads"),
        *(f"--concurrency={threads}", "--without-gossip", "--without-mingle"),
        "--without-heartbeat",
    ]
    with _running(stack, name, command, log, {}):
        yield


@contextmanager
def in_place_of(stack: RunningStack, program: str, log: Path) -> Iterator[None]:
    """The stack's own worker gives way to one with the same command, which also knows the tests'
    tasks. Afterwards the stack's own runs again."""
    [found] = [p for p in belay_programs(stack.stack, with_range=False) if p.name == program]
    command = [APP if word == "config" else word for word in found.command]
    assert APP in command, command
    stack.stop_program(program)
    try:
        with _running(stack, program, command, log, found.environment):
            yield
    finally:
        stack.start_program(program)


@contextmanager
def _running(
    stack: RunningStack, name: str, command: list[str], log: Path, environment: Mapping[str, str]
) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env=clean_environment(BELAY_STATE_DIR=str(stack.stack.state_dir), **environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: _is_up(process, log), within_s=STARTS_S, what=f"worker {name} is up")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=STOPS_S)


def _is_up(process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    return " ready." in log.read_text()


def send(stack: RunningStack, queue: str, *calls: tuple[str, Path]) -> None:
    """Send tests' tasks, each with a path, to a queue."""
    lines = [
        f"app.send_task({task!r}, args=[{str(path)!r}], queue={queue!r})" for task, path in calls
    ]
    code = "\n".join(["from config.celery import app", *lines])
    stack.manage("shell", "-v0", "-c", code)
