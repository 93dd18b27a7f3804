"""The demo that is measured: started as a person starts it, on a range of the bench's own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.stack.demo import ignore_stop_signals, stop_signals
from config.stack.layout import CHECKOUT, MARKER, Stack
from config.stack.processes import processes_of, read_marks
from practice import cgroups, slots, supervisor, teardown
from practice.facts import read_progress
from practice.plan import Plan, load_plan, range_dir
from practice.system import SYSTEM_PATH
from tests.stack.running import RunningStack, clean_environment, free_port, wait_until

RANGE_NAME = "bench"
READY_S = 15 * 60.0
COLD_READY_S = 45 * 60.0
STOP_S = 300.0
GO_CACHES = ("GOCACHE", "GOMODCACHE")


@dataclass(frozen=True, kw_only=True)
class StartTimes:
    """Seconds from the start of `make demo`."""

    first_page_s: float
    range_ready_s: float | None
    """Registered, with guards on every node; None on a range that was up before."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """A running stack, its range, and how long both took to come up."""

    running: RunningStack
    plan: Plan
    times: StartTimes

    def pids(self) -> set[int]:
        """Every process of the stack and of the range."""
        stack = {mark.pid for mark in processes_of(self.running.stack.state_dir, marker=MARKER)}
        demo = read_marks(self.running.stack.pid_file)["demo"].pid
        return stack | {demo} | self.range_pids()

    def range_pids(self) -> set[int]:
        """Every process of the range: in its nodes, and on the machine beside them."""
        beside = {pid for pid, _ in teardown.processes_of(self.plan)}
        # In the foreground the supervisor bears neither the range's mark nor its directory.
        keeper = supervisor.running(self.plan)
        return self.node_pids() | beside | ({keeper} if keeper else set())

    def node_pids(self) -> set[int]:
        """Every process in the cgroups of the range's nodes."""
        found: set[int] = set()
        for node in self.plan.nodes:
            found |= cgroups.processes(cgroups.bases()[0] / node.cgroup)
        return found


@contextmanager
def raised(kept_range: str | None) -> Iterator[Site]:
    """`make demo` with a range of its own, or attached to `kept_range`; ended afterwards."""
    state_dir = Path("/tmp") / f"belay-bench-{os.getpid()}"
    name = kept_range or RANGE_NAME
    if kept_range is None:
        _refuse_existing(name)
        # Short pauses between restarts: a kubelet's back-off, which grows with every round of
        # ours, would be measured instead of the undo. Both sides of every pair have the same.
        slots.claim(name, crash_loop_max="10s")
    demo = _Demo(state_dir, name, attach=kept_range is not None)
    with stop_signals():
        try:
            yield demo.start(ready_within_s=READY_S)
        finally:
            # A second Ctrl-C must not leave a range behind that nobody knows of.
            ignore_stop_signals()
            demo.end()


def cold_start() -> StartTimes:
    """`make demo` with every cache of ours and of Go empty, until its range is ready.

    The caches go again afterwards; those of the machine are not touched.
    """
    _refuse_existing(RANGE_NAME)
    with tempfile.TemporaryDirectory(prefix="belay-bench-cold-", dir="/var/tmp") as folder:
        caches = {"BELAY_CACHE_DIR": f"{folder}/belay"}
        caches |= {name: f"{folder}/{name.lower()}" for name in GO_CACHES}
        state_dir = Path("/tmp") / f"belay-bench-cold-{os.getpid()}"
        demo = _Demo(state_dir, RANGE_NAME, attach=False, more=caches)
        with stop_signals():
            try:
                return demo.start(ready_within_s=COLD_READY_S).times
            finally:
                ignore_stop_signals()
                demo.end()
                # Go writes its module cache read-only.
                subprocess.run(["chmod", "-R", "u+w", folder], check=True)


class _Demo:
    """One `make demo`, from its start to its end."""

    def __init__(
        self, state_dir: Path, range_name: str, *, attach: bool, more: dict[str, str] | None = None
    ) -> None:
        self._state_dir, self._range, self._attach = state_dir, range_name, attach
        self._more = more or {}
        self._running: RunningStack | None = None

    def start(self, *, ready_within_s: float) -> Site:
        stack = Stack(state_dir=self._state_dir, port=free_port(), range_name=self._range)
        command = ["make", "--no-print-directory", "demo"]
        if self._attach:
            command = [str(CHECKOUT / ".venv/bin/python"), "manage.py", "demo", "--attach-range"]
        environment = clean_environment(
            BELAY_STATE_DIR=str(self._state_dir),
            BELAY_PORT=str(stack.port),
            BELAY_RANGE=self._range,
            PATH=f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}",
            **self._more,
        )
        self._state_dir.mkdir(mode=0o711, parents=True)
        began = time.monotonic()
        with (self._state_dir / "demo.out").open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._running = running = RunningStack(stack, process=process)
        first_page_s = self._first_page(running, began)
        running.await_started()
        ready_s = self._range_ready(running, began, within_s=ready_within_s)
        return Site(
            running=running,
            plan=load_plan(self._range),
            times=StartTimes(
                first_page_s=first_page_s, range_ready_s=None if self._attach else ready_s
            ),
        )

    def _first_page(self, running: RunningStack, began: float) -> float:
        def look() -> bool:
            self._require_alive(running)
            try:
                return running.get("/")[0] == 200
            except OSError:
                return False

        wait_until(look, within_s=120, what="the first page", every_s=0.05)
        return time.monotonic() - began

    def _range_ready(self, running: RunningStack, began: float, *, within_s: float) -> float:
        """Raised, registered, and with its guards; seconds since the start."""
        messages: list[str] = []

        def look() -> bool:
            self._require_alive(running)
            progress = read_progress(self._range)
            if progress is not None and progress.phase == "failed":
                raise AssertionError(f"the range could not be raised: {progress.error}")
            rows = running.query("SELECT phase, message FROM core_clustersetup")
            messages[:] = [row["message"] for row in rows]
            return bool(rows) and rows[0]["phase"] == "ready"

        try:
            wait_until(look, within_s=within_s, what="the range is registered", every_s=0.5)
        except AssertionError as error:
            raise AssertionError(f"{error}; {'; '.join(messages)}") from error
        return time.monotonic() - began

    @staticmethod
    def _require_alive(running: RunningStack) -> None:
        if running.process is not None and running.process.poll() is not None:
            raise AssertionError(f"the demo ended:\n{running.output}")

    def end(self) -> None:
        """SIGTERM to the demo itself, as Ctrl-C; it takes its range down. Says what is left."""
        try:
            if self._running is not None:
                self._stop(self._running)
        finally:
            shutil.rmtree(self._state_dir, ignore_errors=True)
            if not self._attach and (left := teardown.drop(self._range)):
                raise AssertionError(f"the range left behind: {'; '.join(left)}")

    @staticmethod
    def _stop(running: RunningStack) -> None:
        assert running.process is not None, "it was started by us"
        for mark in processes_of(running.stack.state_dir, marker=MARKER):
            # One that is paused would make the stopping wait for its SIGKILL.
            os.kill(mark.pid, signal.SIGCONT)
        demo = read_marks(running.stack.pid_file).get("demo")
        if demo is not None and demo.alive:
            os.kill(demo.pid, signal.SIGTERM)
        elif running.process.poll() is None:
            running.process.terminate()
        running.process.wait(timeout=STOP_S)
        running.end()


def _refuse_existing(name: str) -> None:
    if range_dir(name).exists():
        raise AssertionError(
            f"there is a range {name!r} already: `manage.py range down --name {name}` removes it, "
            f"BELAY_BENCH_RANGE={name} measures on it"
        )
