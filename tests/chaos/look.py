"""What is left on the cluster, seen without Belay: files, stash, packets, objects, accounts."""

from __future__ import annotations

import hashlib
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.stack.processes import ProcessMark
from practice.facts import RangeFacts
from tests.chaos.owner import TROUBLES, Owner
from tests.chaos.plan import Fault
from tests.faults.nodes import ClusterLook, NodeLook

COMPONENTS = ("kube-apiserver", "etcd", "kube-scheduler", "kube-controller-manager")
TABLE = "belay_guard"
Processes = Mapping[str, Mapping[str, frozenset[ProcessMark]]]
"""Component → node → its processes."""


@dataclass(frozen=True, kw_only=True)
class Before:
    """The cluster before the first fault."""

    files: Mapping[str, Mapping[str, str]]
    """Node → file below /etc/kubernetes → hash, mode and owner."""
    objects: Mapping[str, str]


class Beside:
    """Stands beside the cluster and looks."""

    def __init__(self, facts: RangeFacts) -> None:
        self.cluster = ClusterLook.of(facts)
        self.owner = Owner(Path(facts.admin_kubeconfig))

    def before(self) -> Before:
        files = {node.name: _files(node) for node in self.cluster.nodes}
        return Before(files=files, objects=self.owner.contents())

    def processes(self) -> Processes:
        return {component: self.cluster.processes(component) for component in COMPONENTS}

    def left_on_nodes(self, before: Before) -> list[str]:
        """Every trace of a fault on the nodes themselves; needs no API."""
        left = []
        for node in self.cluster.nodes:
            left += _changes(node.name, before.files[node.name], _files(node))
            left += [f"{node.name}: the stash holds {name}" for name in node.stash()]
            left += [f"{node.name}: drops packets: {rule}" for rule in cuts(node)]
            order = node.order()
            if order is not None and order["phase"] != "undone" and not is_drill(order):
                left.append(
                    f"{node.name}: order {order['recipe']['order_id']} is {order['phase']} "
                    f"({order.get('detail', '')})"
                )
        return left

    def left_in_api(self, before: Before) -> list[str]:
        """Objects that are not as before, and accounts of runs. Raises `TROUBLES`."""
        now = self.owner.contents()
        names = sorted(before.objects.keys() | now.keys())
        left = [
            f"{name} is not as before"
            for name in names
            if before.objects.get(name) != now.get(name)
        ]
        return left + [f"{name} is left of a run" for name in self.owner.accounts()]

    def not_bitten(self, fault: Fault, before: Before) -> list[str]:
        """Where a fault that should be live cannot be seen. A kill is over at once, and whether
        the old process is dead is asked afterwards."""
        if fault.kind == "object":
            try:
                changed = self.owner.contents() != before.objects
            except TROUBLES:
                return []  # nobody could look: unknown, and no contradiction
            return [] if changed else ["the row says that it is live, and no object is changed"]
        wrong = []
        for name in fault.nodes:
            node = self.cluster.node(name)
            if fault.kind == "cut" and not cuts(node):
                wrong.append(f"the row says that it is live, and {name} drops no packets")
            if fault.kind in ("hold", "flag") and _files(node) == before.files[name]:
                wrong.append(f"the row says that it is live, and no manifest of {name} is changed")
        return wrong

    def drills(self) -> list[str]:
        """Harmless drills that are still on; they end by themselves within their lease."""
        return [
            f"{node.name}: a drill is {order['phase']}"
            for node in self.cluster.nodes
            if (order := node.order()) and is_drill(order) and order["phase"] != "undone"
        ] + [
            f"{node.name}: a drill's file is there"
            for node in self.cluster.nodes
            if (node.root / "var/lib/belay-guard/drill").exists()
        ]

    def unsteady(self, before: Before | None) -> list[str]:
        """What is not as a fault needs it to begin: anything left, ill, or short of pods."""
        wrong = self.cluster.unsteady()
        try:
            wrong += self.owner.unready()
            if before is not None:
                wrong += self.left_on_nodes(before) + self.left_in_api(before)
        except TROUBLES as error:
            wrong.append(f"the API gave no answer to its owner: {error}")
        return wrong + self.drills()


def is_drill(order: Mapping[str, Any]) -> bool:
    return bool(order["recipe"]["fault"]["kind"] == "drill")


def cuts(node: NodeLook) -> list[str]:
    """Lines of the guard's own table in the node's kernel; empty when it is not there."""
    done = subprocess.run(
        ["nsenter", f"--net=/run/netns/{node.cgroup}", "nft", "list", "tables"],
        capture_output=True, text=True, check=True, timeout=10,
    )  # fmt: skip
    return [line.strip() for line in done.stdout.splitlines() if TABLE in line]


def _files(node: NodeLook) -> dict[str, str]:
    """Everything below /etc/kubernetes but the guards' stash, which is looked at by itself."""
    root = node.root / "etc/kubernetes"
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name.startswith(".belay-stash") or not path.is_file():
            continue
        try:
            status, content = path.stat(), path.read_bytes()
        except FileNotFoundError:
            continue  # a guard moved it this moment
        mark = hashlib.sha256(content).hexdigest()
        found[name] = f"{mark} {stat.S_IMODE(status.st_mode):o} {status.st_uid}:{status.st_gid}"
    return found


def _changes(node: str, before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    names = sorted(before.keys() | now.keys())
    return [
        f"{node}: /etc/kubernetes/{name} is "
        + ("gone" if name not in now else "new" if name not in before else "not as before")
        for name in names
        if before.get(name) != now.get(name)
    ]
