"""`make demo`: start everything in order, say where it is, and stop all of it again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from config.stack.binaries import copy_binaries
from config.stack.errors import StackError
from config.stack.layout import CHECKOUT, MARKER, Stack
from config.stack.preflight import require_disk, require_not_running, require_port
from config.stack.processes import end_processes, mark, processes_of, write_marks
from config.stack.programs import (
    Program,
    Wave,
    belay_programs,
    service_programs,
    supervisor_configuration,
)
from config.stack.supervisor import GONE, SupervisorClient

SERVICE_START_S = 30
WEB_START_S = 60
STOP_S = 60
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "BELAY_CACHE_DIR")
SETTINGS = (
    "BELAY_ALLOW_HTTP",
    "BELAY_DEBUG",
    "BELAY_OBSERVE_MIN_S",
    "BELAY_PROBE_ALLOW_LOOPBACK",
    "BELAY_REHEARSAL_HOURS",
)
"""What may be set for a demo too, beside what its `stack.env` keeps. Never the key of production
credentials: one environment is for all its processes, and the fault engine must not hold it."""
PASSED_ON_PREFIXES = ("BELAY_LOG", "BELAY_RANGE", "GO", "PIP_", "SSL_CERT", "HTTP", "http", "NO_P")

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Say = Callable[[str], None]


class StopAskedError(BaseException):
    """Ctrl-C, SIGTERM or a closed terminal: not an error, so no `except Exception` stops it."""


class Demo:
    """One run of the whole stack in the foreground.

    Args:
        stack: where it lives.
        say: takes one line for the person at the terminal.
        with_range: whether the practice range is raised, watched or attached to.
        attach_range: use a range that is already up, and leave it up afterwards.
        obstacles: why this machine cannot hold a range; shown on the pages.
    """

    def __init__(
        self,
        stack: Stack,
        *,
        say: Say,
        with_range: bool,
        attach_range: bool = False,
        obstacles: Sequence[str] = (),
    ) -> None:
        self.stack = stack
        self._say = say
        self._with_range = with_range
        self._attach_range = attach_range
        self._obstacles = obstacles
        self._supervisor = SupervisorClient(stack.supervisor_socket)
        self._process: subprocess.Popen[bytes] | None = None
        self._environment: dict[str, str] = {}
        self._programs: list[Program] = []
        self.sample_data = ""
        """What `load_sample_data` printed: the ready logins."""

    def start(self) -> None:
        """Start everything. Raises StackError, and OSError for a full disk."""
        stack = self.stack
        require_not_running(stack)
        require_port(stack.port)
        require_disk(stack.state_dir)
        stack.make_directories()
        kept = stack.load_environment(raises_range=self._with_range and not self._attach_range)
        self._environment = {
            **{name: value for name, value in os.environ.items() if is_passed_on(name)},
            **kept,
            "PYTHONUNBUFFERED": "1",
            MARKER: str(stack.state_dir),
        }
        if self._attach_range:
            self._environment["BELAY_RANGE_ATTACH"] = "1"
        self._end_leftovers()
        services = service_programs(stack, kept)
        own = belay_programs(stack, with_range=self._with_range)
        self._prepare_services(services, kept)
        self._programs = [*services, *own]
        self._start_supervisor(self._programs)
        self._await_services(services, kept)
        self._say("Database: migrating, and loading the sample data.")
        self._manage("migrate", "--noinput", "--verbosity=0")
        stack.sample_password()
        self.sample_data = self._manage(
            "load_sample_data", "--password-file", str(stack.sample_password_file)
        )
        if self._obstacles:
            flags = [item for reason in self._obstacles for item in ("--unavailable", reason)]
            self._manage("demo_range", *flags)
        # The first page first: the other processes would only slow its start down.
        self._supervisor.start("web")
        self._await_web()
        for program in own:
            if program.name != "web":
                self._supervisor.start(program.name)

    def _prepare_services(self, services: list[Program], kept: dict[str, str]) -> None:
        if not services:
            return
        copy_binaries(self.stack.binaries)
        names = {program.name for program in services}
        if "postgres" in names:
            self.stack.postgres(kept).prepare()
        if "redis" in names:
            self.stack.redis().prepare()

    def _start_supervisor(self, programs: list[Program]) -> None:
        stack = self.stack
        stack.supervisor_socket.unlink(missing_ok=True)
        stack.supervisor_conf.write_text(supervisor_configuration(stack, programs))
        with stack.log("supervisor-errors").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    *("-m", "supervisor.supervisord", "-c", str(stack.supervisor_conf)),
                ],
                cwd=CHECKOUT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in the terminal must reach us alone: we stop the rest in order.
                start_new_session=True,
            )
        marks = {"demo": mark(os.getpid()), "supervisor": mark(self._process.pid)}
        write_marks(stack.pid_file, {name: this for name, this in marks.items() if this})
        self._supervisor.await_ready(timeout_s=SERVICE_START_S)

    def _await_services(self, services: list[Program], kept: dict[str, str]) -> None:
        stack, names = self.stack, {program.name for program in services}
        if "postgres" in names:
            stack.postgres(kept).await_ready(timeout_s=SERVICE_START_S, log=stack.log("postgres"))
        if "redis" in names:
            stack.redis().await_ready(timeout_s=SERVICE_START_S, log=stack.log("redis"))

    def _manage(self, *arguments: str) -> str:
        """Run one of our commands to its end; returns what it printed. Raises StackError."""
        result = subprocess.run(
            [sys.executable, str(CHECKOUT / "manage.py"), *arguments],
            cwd=CHECKOUT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            log = self.stack.log("prepare")
            log.write_text(result.stdout + result.stderr)
            last = (result.stderr.strip() or result.stdout.strip() or "no word").splitlines()[-1]
            raise StackError(f"`manage.py {arguments[0]}` failed: {last} (all of it: {log}).")
        return result.stdout

    def _await_web(self) -> None:
        give_up_at = time.monotonic() + WEB_START_S
        request = urllib.request.Request(f"{self.stack.base_url}/healthz")  # noqa: S310  our own
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            try:
                with opener.open(request, timeout=2):
                    return
            except (urllib.error.URLError, OSError) as error:
                if time.monotonic() > give_up_at:
                    raise StackError(
                        f"The web process did not answer within {WEB_START_S} s ({error}); its "
                        f"log is {self.stack.log('web')}."
                    ) from error
                time.sleep(0.1)

    def require_supervisor(self) -> None:
        """Raise StackError when the supervisor itself has ended."""
        if self._process is not None and self._process.poll() is not None:
            raise StackError(
                f"The supervisor ended by itself (status {self._process.returncode}); its log is "
                f"{self.stack.log('supervisor')}."
            )

    def stop(self) -> None:
        """Stop everything that we started, in order; says what takes its time."""
        if self._process is None:
            return
        for wave in stop_waves(self._programs):
            if "range" in wave and not self._attach_range:
                self._say("Stopping the practice range: its nodes, links, mounts and files.")
            try:
                self._supervisor.stop_together(wave)
            except (StackError, *GONE) as error:
                # The supervisor's own shutdown and the sweep below end what is left.
                self._say(f"{', '.join(wave)}: not stopped when asked: {error}")
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._end_leftovers()
        self.stack.pid_file.unlink(missing_ok=True)
        self._say("Everything that this demo started is stopped.")

    def _end_leftovers(self) -> None:
        """End processes of this stack that an earlier or broken supervisor left behind."""
        remaining = end_processes(processes_of(self.stack.state_dir, marker=MARKER), grace_s=10)
        if remaining:
            pids = ", ".join(str(process.pid) for process in remaining)
            raise StackError(f"These processes of ours do not end: {pids}.")


def stop_waves(programs: list[Program]) -> list[list[str]]:
    """Names of programs that may stop together, in the order of the waves."""
    waves: dict[Wave, list[str]] = {wave: [] for wave in Wave}
    for program in programs:
        waves[program.wave].append(program.name)
    return [names for names in waves.values() if names]


def is_passed_on(name: str) -> bool:
    """Whether our processes get this variable of the environment that the demo was started in."""
    return name in (*PASSED_ON, *SETTINGS) or name.startswith(PASSED_ON_PREFIXES)


@contextmanager
def stop_signals() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into StopAskedError; later ones change nothing."""
    asked = False

    def ask(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if not asked:
            asked = True
            raise StopAskedError

    before = {number: signal.signal(number, ask) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_stop_signals() -> None:
    """Let no further signal cut the stopping short (until `stop_signals` ends)."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
