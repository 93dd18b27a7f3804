"""An independent look at a node, from the machine: for tests, which must not take our word.

Nothing here asks the cluster, the guard or Belay. Files are read on the node's disk, processes
in the machine's own process table, packet-filter rules in the node's network namespace. Reading
only.
"""

from __future__ import annotations

import contextlib
import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from practice.plan import Node, load_plan
from practice.system import run, start_ticks

STASH = ".belay-stash"
"""Where the guard keeps what it took away, below the node's /etc/kubernetes."""


@dataclass(frozen=True)
class FileMark:
    """What makes a manifest the same manifest."""

    sha256: str
    mode: int
    uid: int
    gid: int


def manifests(name: str, node: str) -> dict[str, FileMark]:
    """Every file in the directory whose files the kubelet runs, dot files too."""
    looked_at = _node(name, node)
    folder = looked_at.root / "etc/kubernetes/manifests"
    if not looked_at.is_control_plane and not folder.exists():
        return {}  # kubeadm makes none on a worker; on a control plane its absence is an error
    return {path.name: _mark(path) for path in sorted(folder.iterdir()) if path.is_file()}


def _mark(path: Path) -> FileMark:
    status = path.stat()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return FileMark(digest, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def stash_leftovers(name: str, node: str) -> list[str]:
    """Files in the guard's stash, relative to it; empty when no fault is on."""
    stash = _node(name, node).root / "etc/kubernetes" / STASH
    return sorted(str(path.relative_to(stash)) for path in stash.rglob("*") if path.is_file())


def processes(name: str, node: str) -> dict[str, list[tuple[int, int]]]:
    """Program name → (pid on the machine, start time in ticks), of every process of the node.

    A node's processes are those in its cgroups. Zombies do not count: they have ended.
    """
    place = f"/{_node(name, node).cgroup}/"
    found: dict[str, list[tuple[int, int]]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if place not in (entry / "cgroup").read_text(encoding="utf-8"):
                continue
            first = (entry / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
            started = start_ticks(int(entry.name))
            if first and started is not None:
                program = PurePosixPath(first).name
                found.setdefault(program, []).append((int(entry.name), started))
    return found


def nft_tables(name: str, node: str) -> list[str]:
    """`family name` of every packet-filter table in the node's network namespace."""
    namespace = f"--net=/run/netns/{_node(name, node).netns}"
    lines = run(["nsenter", namespace, "nft", "list", "tables"]).splitlines()
    return sorted(line.removeprefix("table ") for line in lines)


def _node(name: str, node: str) -> Node:
    return load_plan(name).node(node)
