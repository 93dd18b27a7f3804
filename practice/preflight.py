"""What this machine lacks for a range, as plain sentences that say what to do."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from pathlib import Path

from practice import cgroups, components
from practice.facts import RangeFacts
from practice.plan import API_PORT, EDGE_PORT, LEGACY_PORT, Plan, cache_dir, ranges_dir
from practice.system import RangeError, run

CPUS_LEAST = 2
MEMORY_LEAST_GIB = 6.0
DISK_LEAST_COLD_GIB = 15.0
DISK_LEAST_WARM_GIB = 6.0
CAP_SYS_ADMIN = 21
GIB = 1024.0**3


def problems() -> list[str]:
    """Everything that stands in the way of raising a range here; empty when nothing does."""
    found: list[str] = []
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        where = f"{platform.system()} on {platform.machine()}"
        return [f"the range needs Linux on x86_64, and this is {where}: register a cluster instead"]
    if os.geteuid() != 0:
        found.append("the range needs root: run this command again as root")
    elif not has_capability(CAP_SYS_ADMIN):
        found.append(
            "root here may not mount (CAP_SYS_ADMIN is missing, as in an ordinary container): "
            "use a virtual machine, or a privileged container"
        )
    cpus = len(os.sched_getaffinity(0))
    if cpus < CPUS_LEAST:
        found.append(f"the range needs {CPUS_LEAST} processor cores, and this machine has {cpus}")
    memory = available_memory() / GIB
    if memory < MEMORY_LEAST_GIB:
        found.append(
            f"the range needs {MEMORY_LEAST_GIB:.0f} GiB of available memory, and there are "
            f"{memory:.1f}: stop something, or use a larger machine"
        )
    found += disk_problems()
    if os.geteuid() == 0:
        found += bridge_problems()
    if lacking := cgroups.missing_controllers():
        found.append(
            f"the cgroup controllers {', '.join(sorted(lacking))} are not mounted under "
            f"{cgroups.ROOT}: mount them, or boot with them enabled"
        )
    elif held := cgroups.held_back():
        found.append(
            f"this container's own processes stand in {cgroups.ROOT} itself, so the kernel hands "
            f"the cgroup controllers {', '.join(sorted(held))} to nobody below: move them away "
            f"with `mkdir -p {cgroups.ROOT}/init && xargs -rn1 < {cgroups.ROOT}/cgroup.procs > "
            f"{cgroups.ROOT}/init/cgroup.procs`"
        )
    return found


def bridge_problems() -> list[str]:
    """Whether a packet filter of the machine would drop what the nodes send each other.

    Docker does that: it has bridged packets filtered, and forwarding denied by default.
    """
    switch = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if not switch.exists() or switch.read_text().strip() != "1" or not shutil.which("iptables"):
        return []
    rules = run(["iptables", "-S", "FORWARD"])
    if "-P FORWARD DROP" not in rules or "-i bl-" in rules:
        return []
    allow = "iptables -I FORWARD -i bl-+ -o bl-+ -j ACCEPT"
    why = "filters bridged packets and drops what it forwards (Docker sets it so)"
    return [f"this machine {why}: allow the range with `{allow}`"]


def disk_problems() -> list[str]:
    """Whether the disks of the cache and of the ranges are large enough."""
    warm = components.is_cached()
    found = []
    wanted = {ranges_dir(): DISK_LEAST_WARM_GIB}
    if not warm:
        wanted[cache_dir()] = DISK_LEAST_COLD_GIB
    for path, least in wanted.items():
        free = shutil.disk_usage(nearest_existing(path)).free / GIB
        if free < least:
            reason = "to run" if warm else "to build what it is made of"
            found.append(
                f"the range needs {least:.0f} GiB free under {path} {reason}, and there are "
                f"{free:.1f}: make room, or point BELAY_CACHE_DIR and BELAY_RANGES_DIR elsewhere"
            )
    return found


def nearest_existing(path: Path) -> Path:
    """The path itself, or the closest parent that exists."""
    while not path.exists():
        path = path.parent
    return path


def available_memory() -> int:
    """Bytes that a new program can have without swapping."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def has_capability(number: int) -> bool:
    """Whether this process has that capability in effect."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False


def check_ports(plan: Plan) -> None:
    """Raise RangeError when somebody else listens where the range's own programs will.

    Called only before they run. The bridge must be up: its address is one of the range's.
    """
    wanted = [(plan.gateway, port) for port in (API_PORT, EDGE_PORT, LEGACY_PORT)]
    for address, port in [*wanted, ("127.0.0.1", plan.proxy_admin_port)]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                raise RangeError(
                    f"port {port} of {address} is taken ({error.strerror}): `ss -ltnp` shows by "
                    "whom; stop that program, then raise the range again"
                ) from None


def is_ready(name: str) -> bool:
    """Whether the range says of itself that it is ready."""
    try:
        return RangeFacts.load(name).phase == "ready"
    except RangeError:
        return False
