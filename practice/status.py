"""How a range is, as somebody who looks now sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from practice import cluster, nodes, proxy, supervisor, weaknesses
from practice.facts import RangeFacts, read_progress
from practice.plan import Node, Plan, load_plan, ranges_dir
from practice.system import CommandError, RangeError

Object = dict[str, Any]


def show(name: str, *, as_json: bool, say: Callable[[str], None]) -> int:
    """Print the state of a range; 0 when it is ready and whole, else 1."""
    state = look(load_plan(name))
    if as_json:
        say(json.dumps(state, indent=1))
    else:
        for line in lines(state):
            say(line)
    return 0 if state["whole"] else 1


def look(plan: Plan) -> Object:
    """Everything that `range status` tells, looked at now."""
    progress = read_progress(plan.name)
    facts: RangeFacts | None
    try:
        facts = RangeFacts.load(plan.name)
    except RangeError:
        facts = None
    found = [_node(node_plan) for node_plan in plan.nodes]
    phase = facts.phase if facts else "unraised"
    supervised = bool(supervisor.running(plan))
    return {
        "name": plan.name,
        "phase": phase,
        "message": progress.message if progress else "",
        "supervised": supervised,
        "whole": phase == "ready" and supervised and all(is_well(n) for n in found),
        "api_endpoint": plan.api_endpoint,
        "shop_url": plan.shop_url,
        "kubeconfig": str(plan.kubeconfig),
        "admin_kubeconfig": str(plan.admin_kubeconfig),
        "guard_image": facts.guard_image if facts else "",
        "proxy_runs": proxy.ask_admin(plan, "/ready") is not None,
        "nodes": found,
        "pods": _pods(plan),
        "trickle": _trickle(plan),
        "weaknesses_fixed": weaknesses.states(plan),
        "other_ranges": sorted(
            path.parent.name
            for path in ranges_dir().glob("*/plan.json")
            if path.parent.name != plan.name
        ),
    }


def is_well(node: Object) -> bool:
    """Whether a control plane's API answers, or a worker's kubelet is healthy."""
    return bool(node["api_ready"] if node["control_plane"] else node["kubelet_healthy"])


def _node(node: Node) -> Object:
    running = nodes.init_pid(node) is not None
    return {
        "name": node.name,
        "address": node.address,
        "running": running,
        "kubelet_healthy": running and nodes.kubelet_healthy(node),
        "control_plane": node.is_control_plane,
        "api_ready": running and cluster.api_ready(node) if node.is_control_plane else None,
    }


def _pods(plan: Plan) -> list[str] | None:
    """`namespace/name phase` of every pod; None when the cluster does not answer."""
    try:
        items = cluster.get(plan, "pods", "-A")["items"]
    except CommandError:
        return None
    return [
        f"{item['metadata']['namespace']}/{item['metadata']['name']} {item['status']['phase']}"
        for item in items
    ]


def _trickle(plan: Plan) -> Object | None:
    try:
        return dict(json.loads((plan.dir / "trickle.json").read_text()))
    except FileNotFoundError:
        return None


def lines(state: Object) -> list[str]:
    """The state in lines for people."""
    yes = {True: "yes", False: "no", None: "unknown"}
    out = [
        f"range {state['name']}: {state['phase']}"
        + ("" if state["supervised"] else ", not supervised (`range up` takes it over)"),
        f"  {state['message']}",
        f"  API   {state['api_endpoint']}  (proxy {'runs' if state['proxy_runs'] else 'is down'})",
        f"  shop  {state['shop_url']}",
    ]
    out += [
        f"  {node['name']}  {node['address']}  running {yes[node['running']]}, kubelet "
        f"{yes[node['kubelet_healthy']]}, "
        + (f"API server {yes[node['api_ready']]}" if node["control_plane"] else "worker")
        for node in state["nodes"]
    ]
    pods = state["pods"]
    if pods is None:
        out.append("  pods  unknown: the cluster does not answer")
    else:
        odd = [pod for pod in pods if not pod.endswith((" Running", " Succeeded"))]
        out.append(f"  pods  {len(pods)}, " + (f"not running: {', '.join(odd)}" if odd else "fine"))
    if trickle := state["trickle"]:
        answered, failed = trickle.get("answered", 0), trickle.get("failed", 0)
        out.append(f"  users {answered} requests answered, {failed} failed")
    for name, fixed in state["weaknesses_fixed"].items():
        out.append(f"  fix   {name}: {'applied' if fixed else 'not applied'}"
                   + (" (unknown)" if fixed is None else ""))  # fmt: skip
    return out
