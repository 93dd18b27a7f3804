"""The parent: starts the worker, starts it again at once, and ends one that shows no life.

It holds no state and opens nothing, so there is little in it that could fail. The kubelet would
restart the container too, but with a back-off that reaches five minutes. It lives as long as the
node does: what it imports is memory of every node for good, so it imports next to nothing.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

QUICK_DEATH_S = 1.0
BACKOFF_FIRST_S = 0.05
BACKOFF_MAX_S = 1.0
STOP_S = 28.0
EXIT_CONFIG = 78
"""The worker says so when policy, key or certificate are unusable."""


class Parent:
    """Keeps one worker running until it is told to stop."""

    def __init__(self, worker_arguments: Sequence[str], stall_s: float) -> None:
        self._arguments = worker_arguments
        self._stall_s = stall_s
        self._stopping = False

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        pause_s = 0.0
        while True:
            started = time.monotonic()
            status = self._run_worker()
            if self._stopping:
                return 0
            if status == EXIT_CONFIG:
                return EXIT_CONFIG
            _log("worker ended", status=status)
            # At once, as a rule; a worker that cannot start at all must not burn the node.
            quick = time.monotonic() - started < QUICK_DEATH_S
            pause_s = min(max(pause_s * 2, BACKOFF_FIRST_S), BACKOFF_MAX_S) if quick else 0.0
            time.sleep(pause_s)

    def _on_stop(self, *_: object) -> None:
        self._stopping = True

    def _run_worker(self) -> int:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        os.set_inheritable(writer, True)
        package_parent = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100,PTH120
        environment = {
            **os.environ,
            "PYTHONPATH": package_parent,
            "PYTHONUNBUFFERED": "1",
            # One heap for all threads: each would take one of its own, and keep it.
            "MALLOC_ARENA_MAX": "1",
        }
        command = [
            sys.executable, "-m", "guard", "work", "--pipe", str(writer), *self._arguments,
        ]  # fmt: skip
        worker = os.posix_spawn(sys.executable, command, environment)
        os.close(writer)
        ended = os.pidfd_open(worker)
        try:
            return self._watch(worker, ended, reader)
        finally:
            os.close(ended)
            os.close(reader)

    def _watch(self, worker: int, ended: int, reader: int) -> int:
        """Wait for the worker's end; bring it about when it is stopped or stuck."""
        last_beat = looked = time.monotonic()
        while True:
            ready, _, _ = select.select([reader], [], [], 1.0)
            now = time.monotonic()
            if now - looked > self._stall_s / 2:
                # We ourselves were stopped: the worker's silence in that time says nothing.
                last_beat = now
            looked = now
            if self._stopping:
                return self._stop(worker, ended)
            if ready and os.read(reader, 4096):
                last_beat = now
            elif ready:
                return _wait(worker)
            elif now - last_beat > self._stall_s:
                _log("worker shows no life: killed", pid=worker, silent_s=now - last_beat)
                os.kill(worker, signal.SIGKILL)
                return _wait(worker)

    @staticmethod
    def _stop(worker: int, ended: int) -> int:
        os.kill(worker, signal.SIGTERM)
        gone, _, _ = select.select([ended], [], [], STOP_S)
        if not gone:
            os.kill(worker, signal.SIGKILL)
        return _wait(worker)


def _wait(worker: int) -> int:
    """Its exit status; negative: the signal that ended it. Until then it is ours, and no other
    process can have its number."""
    return os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])


def _log(event: str, **facts: object) -> None:
    from guard.log import log  # noqa: PLC0415  only where something happened

    log(event, **facts)
