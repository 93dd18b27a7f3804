"""What processes cost: memory shared out fairly, and CPU time. Read from /proc and cgroups."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from practice import cgroups
from practice.plan import Node

PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
GONE = (FileNotFoundError, ProcessLookupError)


def pss_bytes(pids: Iterable[int]) -> int:
    """Proportional set size of all of them: what they share is counted once in the sum."""
    return sum(_rollup(pid).get("Pss", 0) for pid in pids)


def rss_bytes(pids: Iterable[int]) -> int:
    """Resident set size: what they share is counted in each."""
    return sum(_rollup(pid).get("Rss", 0) for pid in pids)


def _rollup(pid: int) -> dict[str, int]:
    found: dict[str, int] = {}
    with contextlib.suppress(*GONE):  # it ended while we looked: it takes nothing any more
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]:
            name, _, rest = line.partition(":")
            found[name] = int(rest.split()[0]) * 1024
    return found


def process_cpu_s(pid: int) -> float:
    """User and system time of a living process in seconds; 0 when it is gone."""
    return sum(_ticks(pid)[:2]) / _TICKS_PER_S


def family_cpu_s(pid: int) -> float:
    """The same of a process with its children, those that ended and were waited for as well."""
    try:
        children = (PROC / f"{pid}/task/{pid}/children").read_text().split()
    except GONE:
        return 0.0
    return sum(_ticks(pid)) / _TICKS_PER_S + sum(process_cpu_s(int(child)) for child in children)


def _ticks(pid: int) -> list[int]:
    """User and system time, and those of its children that are gone."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except GONE:
        return [0, 0, 0, 0]
    return [int(field) for field in stat.rpartition(")")[2].split()[11:15]]


def cgroup_cpu_s(path: Path) -> float:
    """CPU time in seconds that was ever spent in a cgroup and below it."""
    classic = path / "cpuacct.usage"
    if classic.exists():
        return int(classic.read_text()) / 1e9
    words = (path / "cpu.stat").read_text().split()
    return int(words[words.index("usage_usec") + 1]) / 1e6


def node_cgroup(node: Node) -> Path:
    """The node's cgroup in the hierarchy that accounts for CPU time."""
    return _cpu_base() / node.cgroup


def cgroup_of(pid: int) -> Path:
    """The cgroup of a process in the hierarchy that accounts for CPU time."""
    base = _cpu_base()
    for line in (PROC / str(pid) / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "cpuacct" in controllers.split(",") or (not controllers and base == cgroups.ROOT):
            return base / path.lstrip("/")
    raise LookupError(f"process {pid} is in no cgroup that accounts for CPU time")


def _cpu_base() -> Path:
    if cgroups.is_v2_only():
        return cgroups.ROOT
    for name, options in cgroups.v1_hierarchies().items():
        if "cpuacct" in options.split(","):
            return cgroups.ROOT / name
    raise LookupError("no cgroup hierarchy of this machine accounts for CPU time")


def busy_share(seconds: float) -> float:
    """Share of all the machine's CPU time that was used in the coming `seconds`, 0 to 1."""
    before = _machine()
    time.sleep(seconds)
    total, idle = (now - then for now, then in zip(_machine(), before, strict=True))
    return 1 - idle / total if total else 0.0


def share_over(seconds: float, spent_s: Callable[[], float]) -> float:
    """Share of one core that a rising counter of CPU seconds took in the coming `seconds`."""
    began, before = time.monotonic(), spent_s()
    time.sleep(seconds)
    return (spent_s() - before) / (time.monotonic() - began)


def _machine() -> tuple[float, float]:
    words = (PROC / "stat").read_text().splitlines()[0].split()[1:9]
    numbers = [int(word) for word in words]
    return float(sum(numbers)), float(numbers[3] + numbers[4])
