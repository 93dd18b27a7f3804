"""Which processes belong to a stack: by pid and start time, never by a name."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process that can be told from a later one with the same pid."""

    pid: int
    start_ticks: int

    @property
    def alive(self) -> bool:
        return start_ticks(self.pid) == self.start_ticks


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None when it is gone or a zombie."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    # The name in parentheses may itself hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def mark(pid: int) -> ProcessMark | None:
    """The mark of a living process."""
    ticks = start_ticks(pid)
    return None if ticks is None else ProcessMark(pid=pid, start_ticks=ticks)


def write_marks(path: Path, marks: dict[str, ProcessMark]) -> None:
    """Write the pid file: names to marks."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({name: asdict(mark) for name, mark in marks.items()}) + "\n")
    fresh.rename(path)


def read_marks(path: Path) -> dict[str, ProcessMark]:
    """The pid file's marks; empty when there is none or it was cut short."""
    try:
        content = json.loads(path.read_text())
        return {name: ProcessMark(**value) for name, value in content.items()}
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def processes_of(state_dir: Path, *, marker: str) -> list[ProcessMark]:
    """Living processes that carry `marker=<state dir>` or run a program that lies in it."""
    wanted = f"{marker}={state_dir}".encode()
    found = []
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            ours = wanted in (entry / "environ").read_bytes().split(b"\0") or Path(
                (entry / "exe").readlink()
            ).is_relative_to(state_dir)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if ours and (this := mark(int(entry.name))):
            found.append(this)
    return found


def end_processes(marks: list[ProcessMark], *, grace_s: float) -> list[ProcessMark]:
    """SIGTERM, then SIGKILL after the grace time; returns those that are still there."""
    for sign, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        for process in marks:
            if process.alive:
                try:
                    os.kill(process.pid, sign)
                except ProcessLookupError:
                    continue
        give_up_at = time.monotonic() + wait_s
        while time.monotonic() < give_up_at and any(process.alive for process in marks):
            time.sleep(0.05)
    return [process for process in marks if process.alive]
