"""The one daemon of a range: it raises the range, and from then on keeps its processes alive."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from practice.keeper import Keeper, Service, read_record
from practice.plan import Plan
from practice.raising import Raising
from practice.system import (
    REPOSITORY,
    RangeError,
    end_commands,
    file_lock,
    is_alive,
    start_ticks,
    wait_until,
    write_atomic,
)
from practice.trickle import Trickle

TICK_S = 0.5


class Desk:
    """Lets the raising thread have things done by the thread that owns the processes."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._requests: queue.Queue[tuple[Callable[[Keeper], None], threading.Event]]
        self._requests = queue.Queue()
        self.wake = threading.Event()

    def keep(self, service: Service) -> None:
        """Have a service started and kept alive."""
        self._ask(lambda keeper: keeper.keep(service))

    def stop(self, name: str) -> None:
        """Have a service ended and forgotten."""
        self._ask(lambda keeper: keeper.stop(name))

    def serve(self) -> None:
        """Do what was asked for. Called by the owning thread."""
        while not self._requests.empty():
            work, done = self._requests.get()
            work(self._keeper)
            done.set()

    def _ask(self, work: Callable[[Keeper], None]) -> None:
        done = threading.Event()
        self._requests.put((work, done))
        self.wake.set()
        if not done.wait(60):
            raise RangeError("the range's supervisor is ending; raise the range again")


def record_of(plan: Plan) -> Path:
    return plan.dir / "run" / "supervisor.json"


def running(plan: Plan) -> int:
    """Pid of the range's supervisor, or 0 when none is alive."""
    pid, started = read_record(record_of(plan))
    return pid if pid and is_alive(pid, started) else 0


@contextmanager
def sole(plan: Plan) -> Iterator[None]:
    """Be the only supervisor of this range; RangeError when there is one already."""
    with file_lock(plan.dir / "run" / ".supervisor.lock", wait=False) as mine:
        if not mine:
            raise RangeError(f"range {plan.name} is supervised already (`range status`)")
        record = {"pid": os.getpid(), "started": start_ticks(os.getpid())}
        write_atomic(record_of(plan), json.dumps(record))
        yield


def supervise(
    plan: Plan, *, echo: Callable[[str], None], supervised: Callable[[], None] = lambda: None
) -> int:
    """Raise the range and keep it until SIGTERM or SIGINT; return the exit code.

    `supervised` is called once this process is on record as the range's supervisor.
    Ending it leaves the range's processes running: the next supervisor takes them over, and
    `range down` ends them. Only the shop's trickle ends with it.
    """
    stop, failed = threading.Event(), threading.Event()
    keeper = Keeper(plan.dir / "run")
    desk = Desk(keeper)

    def end(*_: object) -> None:
        # Without waking the loop, which would be quicker by half a tick: a signal that comes while
        # the loop holds the lock of its own waiting would wait for that lock for ever.
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with sole(plan):
        supervised()
        raising = Raising(plan, desk, echo=echo)
        trickle = Trickle(plan, stop)

        def work() -> None:
            try:
                if raising.run():
                    trickle.start()
                    return
            finally:
                if not trickle.ident:  # never started: an unforeseen error counts as well
                    failed.set()
                    desk.wake.set()

        threading.Thread(target=work, name="raising", daemon=True).start()
        while not stop.is_set():
            desk.wake.clear()
            desk.serve()
            keeper.tick()
            raising.report.refresh()
            if failed.is_set():
                end_commands()
                return 1
            desk.wake.wait(TICK_S)
        end_commands()
        if trickle.is_alive():
            trickle.join(5)
    return 0


def forget_progress(plan: Plan) -> None:
    """Drop the progress of a former supervisor, lest "ready" be read that is no longer so."""
    (plan.dir / "progress.json").unlink(missing_ok=True)


def launch(plan: Plan) -> int:
    """Start the supervisor as a daemon of its own and return its pid.

    It is a session of its own, so the shell that asked for it may close.
    """
    plan.logs.mkdir(parents=True, exist_ok=True)
    forget_progress(plan)
    env = (
        os.environ
        | plan.mark()
        | {
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
    )
    with (plan.logs / "supervisor.log").open("a") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "practice", "supervise", plan.name],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env=env, cwd="/",
        )  # fmt: skip
    wait_until(
        lambda: running(plan) == daemon.pid or daemon.poll() is not None,
        timeout=30,
        what="the range's supervisor started",
    )
    return daemon.pid


def end_supervisor(plan: Plan, *, grace: float = 10.0) -> None:
    """End the range's supervisor, so that nothing is started again."""
    pid, started = read_record(record_of(plan))
    if not pid or not is_alive(pid, started) or pid == os.getpid():
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while is_alive(pid, started):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            deadline = float("inf")
        time.sleep(0.05)
