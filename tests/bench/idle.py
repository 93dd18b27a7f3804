"""What everything costs while nothing happens: memory and CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from practice.plan import Node
from tests.bench.cluster import await_settled
from tests.bench.report import Report, Row, bounded, unmeasured
from tests.bench.site import Site
from tests.bench.usage import (
    GONE,
    cgroup_cpu_s,
    cgroup_of,
    node_cgroup,
    process_cpu_s,
    pss_bytes,
    rss_bytes,
    share_over,
)

WATCH_S = 30.0
MEMORY_LIMIT_GIB = 4.0
GIB, MIB = 1024**3, 1024**2
MEMORY = "memory of everything together (PSS)"
GUARD_ROWS: tuple[tuple[str, str, float | None], ...] = (
    ("guard: memory (RSS)", "MiB", None),  # counts what parent and worker share twice
    ("guard: memory (PSS)", "MiB", 40.0),
    ("guard: idle CPU", "% of a core", 1.0),
)
RANGE_CPU = "range: idle CPU"


def memory_gib(site: Site) -> float:
    """PSS of the whole stack and the whole range, now."""
    return pss_bytes(site.pids()) / GIB


def memory_row(samples: list[float]) -> Row:
    """The most that was seen at any of the moments at which it was looked at."""
    return bounded(MEMORY, samples, "GiB", limit=MEMORY_LIMIT_GIB)


def measure(report: Report, site: Site, say: Callable[[str], None]) -> None:
    """One guard and the whole range over half a minute of nothing."""
    await_settled(site.plan)
    say(f"watching for {WATCH_S:g} s")
    node = site.plan.nodes[0]
    guard = _guard_pids(site, node)
    on_machine = site.range_pids() - site.node_pids()

    def range_cpu_s() -> float:
        inside = sum(cgroup_cpu_s(node_cgroup(one)) for one in site.plan.nodes)
        return inside + sum(process_cpu_s(pid) for pid in on_machine)

    if not guard:
        for name, unit, _limit in GUARD_ROWS:
            report.add(unmeasured(name, unit, f"no guard process was found on {node.name}"))
        report.add(_percent(RANGE_CPU, share_over(WATCH_S, range_cpu_s)))
        return
    # The guard's pod with all of it: parent, worker, and the kubelet's liveness probes.
    pod = cgroup_of(guard[0]).parent
    before = cgroup_cpu_s(pod)
    range_share = share_over(WATCH_S, range_cpu_s)
    guard_share = (cgroup_cpu_s(pod) - before) / WATCH_S
    values = (rss_bytes(guard) / MIB, pss_bytes(guard) / MIB, guard_share * 100)
    for (name, unit, limit), value in zip(GUARD_ROWS, values, strict=True):
        report.add(bounded(name, [value], unit, limit=limit))
    report.add(_percent(RANGE_CPU, range_share))


def _percent(name: str, share: float) -> Row:
    return bounded(name, [share * 100], "% of a core")


def _guard_pids(site: Site, node: Node) -> list[int]:
    """The guard's processes on a node: its parent and its worker."""
    found = []
    wanted = node_cgroup(node)
    for pid in sorted(site.node_pids()):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if words[1:3] == [b"-m", b"guard"] and cgroup_of(pid).is_relative_to(wanted):
                found.append(pid)
        except GONE:
            continue
    return found
