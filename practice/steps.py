"""What raising a range consists of, and how long each step takes (seconds on two cores)."""

from __future__ import annotations

from practice.plan import Node, Plan

STEPS_BEFORE = {
    "look at this machine": 1.0,
    "build the programs": 2.0,
    "write the images": 2.0,
    "start the nodes": 12.0,
    "make the first node a cluster": 25.0,
}
STEPS_AFTER = {
    "fill the registry": 10.0,
    "start the workloads": 30.0,
    "introduce Belay": 3.0,
    "wait until traffic flows": 10.0,
}
JOIN_S, JOIN_WORKER_S = 35.0, 12.0


def join_step(node: Node) -> str:
    """The title of the step that makes this node a part of the cluster."""
    return f"join {node.name}" + ("" if node.is_control_plane else " as a worker")


def steps_of(plan: Plan) -> dict[str, float]:
    """The steps of raising that range, each with its expected seconds."""
    joins = {
        join_step(node): JOIN_S if node.is_control_plane else JOIN_WORKER_S
        for node in plan.nodes[1:]
    }
    return STEPS_BEFORE | joins | STEPS_AFTER
