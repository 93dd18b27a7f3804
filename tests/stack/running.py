"""A whole supervised stack for tests: started as a person starts it, looked at from outside."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psycopg2
import psycopg2.extras

from config.env import read_stack_env
from config.stack.layout import CHECKOUT, MARKER, Stack
from config.stack.processes import ProcessMark, mark, processes_of
from config.stack.supervisor import SupervisorClient
from tests.stack.shell import Shell

START_S = 180
STOP_S = 120
REGISTERED_S = 240
FOREIGN = ("BELAY_", "DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")
MACHINE = ("BELAY_CACHE_DIR", "BELAY_RANGES_DIR")
TRYING_OUT = {"BELAY_OBSERVE_MIN_S": "10"}
"""Evictions come late, but many a test judges no pods and has no time to wait for them."""

T = TypeVar("T")


def wait_until(
    look: Callable[[], T | None], *, within_s: float, what: str, every_s: float = 0.1
) -> T:
    """Look again and again until the answer is true; fails after `within_s` seconds."""
    give_up_at = time.monotonic() + within_s
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > give_up_at:
            raise AssertionError(f"not within {within_s:g} s: {what} (last seen: {seen!r})")
        time.sleep(every_s)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(**more: str) -> dict[str, str]:
    """Our environment without the settings of this test session."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in MACHINE or not name.startswith(FOREIGN)
    }
    return kept | TRYING_OUT | more


class RunningStack:
    """A stack under test. Make it with `start`, end it with `end`."""

    def __init__(self, stack: Stack, *, process: subprocess.Popen[bytes] | None) -> None:
        self.stack = stack
        self.base_url = stack.base_url
        self.process = process
        self.supervisor = SupervisorClient(stack.supervisor_socket)
        self.shell = Shell(clean_environment(BELAY_STATE_DIR=str(stack.state_dir)))

    @classmethod
    def start(cls, state_dir: Path, *, range_name: str | None) -> RunningStack:
        """`manage.py demo` in a state directory and on a port of its own.

        With `range_name` it attaches to that raised range and waits until it is registered.
        """
        stack = Stack(state_dir=state_dir, port=free_port(), range_name=range_name or "demo")
        options = ["--attach-range", "--range", range_name] if range_name else ["--no-range"]
        state_dir.mkdir(parents=True, exist_ok=True)
        with (state_dir / "demo.out").open("wb") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "manage.py", "demo", f"--state-dir={state_dir}"),
                    f"--port={stack.port}",
                    *options,
                ],
                cwd=CHECKOUT,
                env=clean_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        running = cls(stack, process=process)
        try:
            running.await_started()
            if range_name:
                running.await_registered()
        except BaseException:
            running.end()
            raise
        return running

    def await_started(self) -> None:
        """Wait for the line with the address; a demo that ended instead tells why."""

        def look() -> bool:
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"the demo ended:\n{self.output}")
            return "Belay is ready" in self.output

        wait_until(look, within_s=START_S, what="the demo says that it is ready")

    def await_registered(self) -> None:
        """Wait until the range is registered, with guards and probes."""
        failures: list[str] = []

        def look() -> bool:
            rows = self.query("SELECT phase, message FROM core_clustersetup")
            if rows and rows[0]["phase"] == "failed":
                failures.append(rows[0]["message"])
            return bool(rows) and rows[0]["phase"] == "ready"

        wait_until(look, within_s=REGISTERED_S, what=f"range registered; failures: {failures}")

    @property
    def output(self) -> str:
        """What the demo printed so far."""
        return (self.stack.state_dir / "demo.out").read_text()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the stack's own processes have."""
        return read_stack_env(self.stack.state_dir)

    @property
    def password(self) -> str:
        """The password of the sample people."""
        return self.stack.sample_password()

    def connect(self) -> psycopg2.extensions.connection:
        """A connection to the stack's database, in autocommit mode; close it yourself."""
        postgres = self.stack.postgres(self.environment)
        connection = psycopg2.connect(
            host=str(postgres.socket_dir),
            user="belay",
            dbname="belay",
            password=postgres.password,
            cursor_factory=psycopg2.extras.RealDictCursor,
        )
        connection.autocommit = True
        return connection

    def query(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Rows of one statement on the stack's database, each as a dict."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return [dict(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            connection.close()

    def manage(
        self, *arguments: str, check: bool = True, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run `manage.py` beside the stack, as a person in a shell would."""
        result = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=CHECKOUT,
            env=clean_environment(BELAY_STATE_DIR=str(self.stack.state_dir)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        if check and result.returncode != 0:
            raise AssertionError(f"{arguments}: {result.stdout}{result.stderr}")
        return result

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, str]:
        """Status and body of one GET; no cookies, redirects are followed."""
        url = f"{self.base_url}{path}"
        request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310  ours
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=40) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def is_healthy(self) -> bool:
        """True when the web process and its database answer; False also while they start."""
        try:
            return self.get("/healthz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    # -- processes -------------------------------------------------------------------------------

    def pid(self, program: str) -> int:
        """The pid of a supervised program (postgres, redis, web, worker-faults, …), once the
        supervisor calls it running: after a kill it is "starting" for a moment."""
        return self.await_running(program)

    def marks(self, program: str) -> list[ProcessMark]:
        """The program's process and all its descendants."""
        return _tree(self.pid(program))

    def signal(self, program: str, number: signal.Signals) -> list[ProcessMark]:
        """Send a signal to a program and its descendants; returns who got it."""
        tree = self.marks(program)
        for process in tree:
            # A parent that died a moment ago may have taken its children with it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
        return tree

    def kill(self, program: str) -> None:
        """SIGKILL, and wait until the processes are gone. The supervisor starts it again."""
        tree = self.signal(program, signal.SIGKILL)
        wait_until(
            lambda: not any(process.alive for process in tree),
            within_s=10,
            what=f"{program} is dead",
            every_s=0.05,
        )

    def pause(self, program: str) -> None:
        """SIGSTOP: the processes are there and answer nothing."""
        self.signal(program, signal.SIGSTOP)

    def resume(self, program: str) -> None:
        """SIGCONT."""
        self.signal(program, signal.SIGCONT)

    def stop_program(self, program: str) -> None:
        """Stop one program in order; it stays stopped."""
        self.supervisor.stop(program)

    def start_program(self, program: str) -> None:
        """Start one program again, and wait until the supervisor calls it running."""
        self.supervisor.start(program, wait=True)

    def restart(self, program: str) -> None:
        """Stop and start one program, as a deploy does."""
        self.supervisor.restart(program)

    def await_running(self, program: str, *, within_s: float = 90) -> int:
        """Wait until the supervisor has (re)started the program; returns its pid."""

        def look() -> int | None:
            info = self.supervisor.states()[program]
            return int(info["pid"]) if info["statename"] == "RUNNING" else None

        return wait_until(look, within_s=within_s, what=f"{program} is running")

    def log(self, program: str) -> str:
        """A program's log."""
        return self.stack.log(program).read_text(errors="replace")

    def end(self) -> None:
        """SIGTERM to the demo; checks that it takes everything with it; removes its files."""
        self.shell.end()
        if self.process is None:
            return
        if self.process.poll() is None:
            # A paused program would make the stopping wait for its SIGKILL.
            for process in processes_of(self.stack.state_dir, marker=MARKER):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGCONT)
            self.process.terminate()
        self.process.wait(timeout=STOP_S)
        kept = CHECKOUT / "build" / "stack-logs" / self.stack.state_dir.name
        shutil.rmtree(kept, ignore_errors=True)
        if self.stack.logs.exists():
            shutil.copytree(self.stack.logs, kept)
            shutil.copy(self.stack.state_dir / "demo.out", kept)
        left = processes_of(self.stack.state_dir, marker=MARKER)
        assert not left, f"the demo left processes behind: {left}"
        shutil.rmtree(self.stack.state_dir)


def _tree(pid: int) -> list[ProcessMark]:
    """A process and its descendants, parents first."""
    found = [this] if (this := mark(pid)) else []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for child in children:
            found += _tree(int(child))
    return found
