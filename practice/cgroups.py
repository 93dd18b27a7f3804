"""A node's own cgroup in every hierarchy of this machine: version 1, hybrid, or version 2."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from practice.system import RangeError, wait_until

ROOT = Path("/sys/fs/cgroup")
V1_NEEDED = {"cpu", "cpuset", "memory", "pids"}
V2_NEEDED = {"cpu", "cpuset", "memory", "pids"}


def v1_hierarchies(mounts: str | None = None) -> dict[str, str]:
    """Directory name below /sys/fs/cgroup → mount option, of each version 1 hierarchy.

    `mounts` is the text of /proc/self/mounts. Empty on a machine with version 2 alone.
    """
    text = Path("/proc/self/mounts").read_text(encoding="utf-8") if mounts is None else mounts
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, where, kind, options, *_ = line.split()
        path = Path(where)
        if kind != "cgroup" or path.parent != ROOT or path.is_symlink():
            continue
        words = options.split(",")
        named = [word for word in words if word.startswith("name=")]
        skip = {"rw", "ro", "nosuid", "nodev", "noexec", "relatime", "xattr", "clone_children"}
        controllers = [w for w in words if w not in skip and "=" not in w]
        found[path.name] = f"none,{named[0]}" if named else ",".join(controllers)
    return found


def is_v2_only() -> bool:
    """Whether this machine has only the unified hierarchy."""
    return (ROOT / "cgroup.controllers").exists()


def missing_controllers() -> set[str]:
    """Controllers that a kubelet needs and this machine has not."""
    if is_v2_only():
        return V2_NEEDED - set((ROOT / "cgroup.controllers").read_text().split())
    have = {word for option in v1_hierarchies().values() for word in option.split(",")}
    return V1_NEEDED - have


def bases() -> list[Path]:
    """The directory of every hierarchy in which a node has a cgroup, the unified one too."""
    if is_v2_only():
        return [ROOT]
    found = [ROOT / name for name in v1_hierarchies()]
    unified = ROOT / "unified"
    if (unified / "cgroup.controllers").exists():
        found.append(unified)
    return found


def make_and_enter(name: str) -> None:
    """Make the node's cgroups and move the calling process into `<node>/system` of each.

    The kubelet gets the node's cgroup as its root and puts `kubepods` beside `system`.
    """
    for base in bases():
        own = base / name
        own.mkdir(exist_ok=True)
        if base.name == "cpuset" and base != ROOT:
            # A new cpuset is empty, and nothing can run in it before both lists are filled.
            for item in ("cpuset.cpus", "cpuset.mems"):
                (own / item).write_text((base / item).read_text())
            (own / "cgroup.clone_children").write_text("1")
        if base == ROOT:
            wanted = set((ROOT / "cgroup.controllers").read_text().split())
            for level in (ROOT, own):
                for controller in sorted(wanted):
                    with contextlib.suppress(OSError):  # some cannot be delegated (rdma, misc)
                        (level / "cgroup.subtree_control").write_text(f"+{controller}")
        leaf = own / "system"
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text("0")


def existing(prefix: str) -> list[Path]:
    """Cgroups of this machine whose name begins with the prefix."""
    return sorted(path for base in bases() for path in base.glob(f"{prefix}*") if path.is_dir())


def processes(path: Path) -> set[int]:
    """Pids (of the host) of every process in a cgroup and below it."""
    found: set[int] = set()
    for directory, _, files in os.walk(path):
        if "cgroup.procs" in files:
            with contextlib.suppress(OSError):
                text = (Path(directory) / "cgroup.procs").read_text()
                found.update(int(word) for word in text.split())
    return found


def remove(path: Path, *, timeout: float = 10.0) -> None:
    """Remove a cgroup with everything below it; its processes must be gone.

    Waits up to `timeout` seconds for the kernel to let go of the last ones, then raises.
    """

    def gone() -> bool:
        for directory, _, _ in os.walk(path, topdown=False):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()
        return not path.exists()

    try:
        wait_until(gone, timeout=timeout, what=f"cgroup {path} removed", every=0.05)
    except RangeError:
        pids = sorted(processes(path))
        raise RangeError(
            f"cgroup {path} cannot be removed: it still holds processes {pids}"
        ) from None
