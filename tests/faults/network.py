"""Within a node's own network, from outside: what its packets reach, and which rules drop them."""

from __future__ import annotations

import subprocess

from tests.faults.nodes import NodeLook


def in_network(node: NodeLook, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program of this machine in the node's network."""
    inside = next(iter(node.processes("etcd"))).pid
    return subprocess.run(
        ["nsenter", "--target", str(inside), "--net", *words],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip


def table(node: NodeLook) -> str:
    """The guard's packet rules on the node; empty where it has none."""
    return in_network(node, "nft", "list", "table", "inet", "belay_guard").stdout


def reaches(node: NodeLook, address: str, port: int) -> bool:
    """Whether a fresh TCP connection from the node comes about within 2 s."""
    dial = f"exec 3<>/dev/tcp/{address}/{port}"
    return in_network(node, "timeout", "2", "bash", "-c", dial).returncode == 0
