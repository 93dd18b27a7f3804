"""The parent: starts the worker, starts it again at once, and ends one that shows no life.

It holds no state and opens nothing, so there is little in it that could fail. The kubelet would
restart the container too, but with a back-off that reaches five minutes.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from guard.log import log

QUICK_DEATH_S = 1.0
BACKOFF_FIRST_S = 0.05
BACKOFF_MAX_S = 1.0
STOP_S = 28.0
EXIT_CONFIG = 78
"""The worker says so when policy, key or certificate are unusable."""


class Parent:
    """Keeps one worker running until it is told to stop."""

    def __init__(self, worker_arguments: list[str], stall_s: float) -> None:
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
            log("worker ended", status=status)
            # At once, as a rule; a worker that cannot start at all must not burn the node.
            quick = time.monotonic() - started < QUICK_DEATH_S
            pause_s = min(max(pause_s * 2, BACKOFF_FIRST_S), BACKOFF_MAX_S) if quick else 0.0
            time.sleep(pause_s)

    def _on_stop(self, *_: object) -> None:
        self._stopping = True

    def _run_worker(self) -> int:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        package_parent = str(Path(__file__).resolve().parent.parent)
        worker = subprocess.Popen(
            [sys.executable, "-m", "guard", "work", "--pipe", str(writer), *self._arguments],
            pass_fds=(writer,),
            env={**os.environ, "PYTHONPATH": package_parent, "PYTHONUNBUFFERED": "1"},
        )
        os.close(writer)
        try:
            return self._watch(worker, reader)
        finally:
            os.close(reader)

    def _watch(self, worker: subprocess.Popen[bytes], reader: int) -> int:
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
                return self._stop(worker)
            if ready and os.read(reader, 4096):
                last_beat = now
            elif ready:
                return worker.wait()
            elif now - last_beat > self._stall_s:
                log("worker shows no life: killed", pid=worker.pid, silent_s=now - last_beat)
                worker.kill()
                return worker.wait()

    def _stop(self, worker: subprocess.Popen[bytes]) -> int:
        worker.terminate()
        try:
            return worker.wait(STOP_S)
        except subprocess.TimeoutExpired:
            worker.kill()
            return worker.wait()
