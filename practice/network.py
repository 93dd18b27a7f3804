"""The range's bridge, the nodes' cables and network namespaces, and the routes between pods."""

from __future__ import annotations

import contextlib
import json

from practice.plan import Node, Plan
from practice.system import CommandError, run

Links = list[dict[str, object]]


def ensure_bridge(plan: Plan) -> None:
    """Make the bridge with the machine's own address on it; harmless when it is there."""
    if not link_exists(plan.bridge):
        run(["ip", "link", "add", plan.bridge, "type", "bridge", "stp_state", "0"])
    run(["ip", "address", "replace", f"{plan.gateway}/24", "dev", plan.bridge])
    run(["ip", "link", "set", plan.bridge, "up"])


def make_node_network(plan: Plan, node: Node) -> None:
    """Make the node's network namespace and cable afresh, with the routes to the others' pods."""
    drop_node_network(node)
    ensure_bridge(plan)
    run(["ip", "netns", "add", node.netns])
    run(f"ip link add {node.link} type veth peer name eth0 netns {node.netns}".split())
    run(["ip", "link", "set", node.link, "master", plan.bridge, "up"])
    inside = ["ip", "-n", node.netns]
    run([*inside, "link", "set", "lo", "up"])
    run([*inside, "address", "add", f"{node.address}/24", "dev", "eth0"])
    run([*inside, "link", "set", "eth0", "up"])
    run([*inside, "route", "add", "default", "via", plan.gateway])
    for other in plan.nodes:
        if other != node:
            run([*inside, "route", "add", other.pod_subnet, "via", other.address])
    run(["ip", "route", "replace", node.pod_subnet, "via", node.address, "dev", plan.bridge])


def drop_node_network(node: Node) -> None:
    """Take away the node's cable and namespace; harmless when they are gone."""
    if link_exists(node.link):
        with contextlib.suppress(CommandError):  # it may vanish together with its namespace
            run(["ip", "link", "delete", node.link])
    if node.netns in network_namespaces():
        run(["ip", "netns", "delete", node.netns])


def drop_bridge(plan: Plan) -> None:
    """Take away the bridge, and with it every route over it."""
    if link_exists(plan.bridge):
        run(["ip", "link", "delete", plan.bridge])


def link_exists(name: str) -> bool:
    return name in link_names()


def link_names() -> set[str]:
    """Names of the links in the machine's own network namespace."""
    links: Links = json.loads(run(["ip", "-j", "link", "show"]) or "[]")
    return {str(link["ifname"]) for link in links}


def network_namespaces() -> set[str]:
    """Names of the network namespaces that `ip netns` knows."""
    return {line.split()[0] for line in run(["ip", "netns", "list"]).splitlines() if line}
