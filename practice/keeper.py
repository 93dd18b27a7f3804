"""Keeps processes alive: starts what is wanted, starts it again when it dies, with back-off.

Used twice: by the range's supervisor on the host (proxy, legacy shop, nodes), and by process 1
of each node (containerd, kubelet). A record of pid and start time on disk lets a new supervisor
take over the living processes of one that was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from practice.system import bound_log, is_alive, start_ticks, write_atomic

BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 10.0
STEADY_S = 20.0
"""A process that lived this long is not crash-looping: its back-off starts afresh."""


@dataclass
class Service:
    """One process to keep alive."""

    name: str
    argv: Callable[[], list[str]]
    """Asked at every start: flags may have changed."""
    log: Path
    ready: Callable[[], bool] = lambda: True
    """Not started before this holds."""
    before: Callable[[], None] = lambda: None
    """Done before every start."""
    env: Mapping[str, str] | None = None
    pid: int = 0
    started: int = 0
    since: float = 0.0
    backoff: float = BACKOFF_FIRST_S
    not_before: float = 0.0
    restarts: int = 0


class Keeper:
    """The services of one supervisor. Every method is called from one thread."""

    def __init__(self, records: Path | None, now: Callable[[], float] = time.monotonic) -> None:
        self._records = records
        self._now = now
        self._services: dict[str, Service] = {}

    def keep(self, service: Service) -> None:
        """Take a service into care; a living process on record is adopted, not doubled."""
        if service.name in self._services:
            return
        if self._records is not None:
            pid, started = read_record(self._records / f"{service.name}.json")
            if pid and is_alive(pid, started):
                service.pid, service.started, service.since = pid, started, self._now()
        self._services[service.name] = service

    def __contains__(self, name: str) -> bool:
        return name in self._services

    def pids(self) -> set[int]:
        """Pids of the living services."""
        return {service.pid for service in self._services.values() if service.pid}

    def tick(self) -> None:
        """Notice the dead, start what is due. Cheap: called twice a second."""
        for service in self._services.values():
            if service.pid and self._has_ended(service):
                now = self._now()
                lived = now - service.since
                service.backoff = (
                    BACKOFF_FIRST_S if lived > STEADY_S else min(BACKOFF_MAX_S, service.backoff * 2)
                )
                service.pid, service.not_before = 0, now + service.backoff
                service.restarts += 1
            if not service.pid and self._now() >= service.not_before and service.ready():
                self._start(service)
            bound_log(service.log)

    def stop(self, name: str, *, grace: float = 5.0) -> None:
        """End a service and forget it: SIGTERM, and after `grace` seconds SIGKILL."""
        service = self._services.pop(name, None)
        if service is None or not service.pid:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(service.pid, signal.SIGTERM)
        deadline = self._now() + grace
        while not self._has_ended(service):
            if self._now() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(service.pid, signal.SIGKILL)
            time.sleep(0.05)

    def _has_ended(self, service: Service) -> bool:
        try:
            return os.waitpid(service.pid, os.WNOHANG)[0] != 0
        except ChildProcessError:  # adopted from a former supervisor: not our child
            return not is_alive(service.pid, service.started)

    def _start(self, service: Service) -> None:
        try:
            service.before()
            argv = service.argv()
            service.pid = spawn(argv, service.log, service.env)
        except (OSError, RuntimeError, ValueError) as error:
            self._note(service, f"cannot start: {error}")
            service.backoff = min(BACKOFF_MAX_S, service.backoff * 2)
            service.not_before = self._now() + service.backoff
            return
        service.started = start_ticks(service.pid) or 0
        service.since = self._now()
        if self._records is not None:
            record = {"pid": service.pid, "started": service.started}
            write_atomic(self._records / f"{service.name}.json", json.dumps(record))

    def _note(self, service: Service, text: str) -> None:
        stamp = time.strftime("%H:%M:%S")
        with service.log.open("a", encoding="utf-8") as sink:
            sink.write(f"[{stamp} keeper] {service.name}: {text}\n")


def spawn(argv: list[str], log: Path, env: Mapping[str, str] | None = None) -> int:
    """Start a process in a session of its own, its output appended to a log; return its pid."""
    log.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawnp(
        argv[0],
        argv,
        dict(os.environ if env is None else env),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGPIPE, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD],
    )


def read_record(path: Path) -> tuple[int, int]:
    """Pid and start time of a recorded process; zeros when there is no (whole) record."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return int(record["pid"]), int(record["started"])
    except (FileNotFoundError, ValueError, KeyError):
        return 0, 0
