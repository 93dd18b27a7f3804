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


def v2_must_hand_on() -> set[str]:
    """Controllers that a node's own cgroup must have on a machine with version 2 alone.

    The kubelet asks for huge pages wherever the machine has their controller, and ends without it
    (kubernetes/kubernetes, pkg/kubelet/cm, `getSupportedUnifiedControllers`).
    """
    have = set((ROOT / "cgroup.controllers").read_text().split())
    return V2_NEEDED | ({"hugetlb"} & have)


def held_back() -> set[str]:
    """Controllers that the kernel would refuse to hand on below this machine's cgroup root.

    Only a container's root can be so: a version 2 cgroup that is not the very root hands on what
    it hands on already, and nothing more while processes stand in it directly.
    """
    # The true root has no type; see Documentation/admin-guide/cgroup-v2.rst of the kernel.
    if not is_v2_only() or not (ROOT / "cgroup.type").exists():
        return set()
    if not (ROOT / "cgroup.procs").read_text().split():
        return set()
    return v2_must_hand_on() - set((ROOT / "cgroup.subtree_control").read_text().split())


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

    The kubelet gets the node's cgroup as its root and puts `kubepods` beside `system`. Raises
    RangeError when the kernel does not hand on a controller that the kubelet needs.
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
            hand_on(ROOT, own)
        leaf = own / "system"
        leaf.mkdir(exist_ok=True)
        (leaf / "cgroup.procs").write_text("0")


def hand_on(*levels: Path) -> None:
    """Have each level (version 2, from the top) hand its controllers on to what is below it."""
    wanted = set((ROOT / "cgroup.controllers").read_text().split())
    for level in levels:
        for controller in sorted(wanted):
            with contextlib.suppress(OSError):  # some cannot be handed on (rdma, misc)
                (level / "cgroup.subtree_control").write_text(f"+{controller}")
        handed_on = set((level / "cgroup.subtree_control").read_text().split())
        if lacking := v2_must_hand_on() - handed_on:
            raise RangeError(
                f"{level} does not hand on the cgroup controllers {', '.join(sorted(lacking))}: "
                f"look who stands in it (`cat {level}/cgroup.procs`) and move them into a cgroup "
                "below it"
            )


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
