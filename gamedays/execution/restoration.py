"""Restored means proved: bytes, processes, membership, health, and a canary per API server.

An error while looking is *unknown*: such a check has not passed, and nothing is clean until it
has.
"""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from gamedays.drivers.fleet import ComponentStatus, NodeStatus, OrderReport, Phase, Reply
from gamedays.execution import restoration_cuts, restoration_objects
from gamedays.execution.checks import Check
from gamedays.scenarios.plan import faults_of

if TYPE_CHECKING:
    from gamedays.execution.world import Run, World


__all__ = ["Check", "look", "summary", "why_not_undone"]
_JUDGED_AS_PODS = ("kube-scheduler", "kube-controller-manager")
"""They end by themselves when they lose their leader election, and come back with the kubelet's
patience, minutes later. That is no trace of ours: the ledger tells it, as of any other pod."""


def look(run: Run, world: World) -> list[Check]:
    """Every check, for every control-plane node; in parallel where it needs the network."""
    nodes = world.cluster.control_plane
    with ThreadPoolExecutor(2 * len(nodes) + 2, "restoration") as pool:
        canaries = {node: pool.submit(world.cluster.canary, node) for node in nodes}
        ready = pool.submit(world.cluster.readyz, None)
        statuses = world.guards.status()
        checks: list[Check] = []
        for node in nodes:
            checks += _node_checks(run, node, statuses.get(node))
            why = canaries[node].result()
            checks.append(
                Check(
                    name=f"canary:{node}",
                    passed=not why,
                    sentence=f"A write through the API server on {node} is read back"
                    + (f" - not yet: {why}." if why else "."),
                )
            )
        why = ready.result()
        checks.append(
            Check(
                name="readyz",
                passed=not why,
                sentence="The API's common address is ready"
                + (f" - not yet: {why}." if why else "."),
            )
        )
    workers = sorted(set(faults_of(run.recipe)) - set(nodes))
    for node in workers:
        # Every node with a guard is cut off, those without a control plane too.
        checks += restoration_cuts.lists_nothing(run, node, statuses.get(node))
    return checks + restoration_cuts.goes_through(run, world) + restoration_objects.look(run, world)


def why_not_undone(replies: dict[str, Any]) -> str:
    parts = []
    for node, reply in sorted(replies.items()):
        if not reply.ok:
            parts.append(f"{node}: {reply.error}.")
        elif reply.value.phase is not Phase.UNDONE:
            parts.append(_still_at_it(node, reply.value))
    return " ".join(parts)


def _still_at_it(node: str, report: OrderReport) -> str:
    why = f": {report.detail.rstrip('.')}." if report.detail else "."
    if report.phase is Phase.STUCK:
        return f"The guard on {node} needs a person{why}"
    if report.phase is Phase.UNDOING:
        why = why if report.detail else ", and has not seen everything run again yet."
        return f"The guard on {node} is still undoing it{why}"
    return f"The guard on {node} has not begun to undo it ({report.phase}){why}"


def summary(checks: list[Check]) -> str:
    """What was proved, in words: only what one of the checks, all of which passed, looked at."""
    manifests = sum(check.name.startswith("manifest:") for check in checks)
    canaries = sum(check.name.startswith("canary:") for check in checks)
    members = sum(check.name.startswith("member:") for check in checks)
    parts = [f"{manifests} manifests as before, byte for byte", *_health_in_words(checks)]
    if members:
        parts.append(f"the {members} etcd members are the same and have a leader")
    parts.append(f"a canary was written and read through each of the {canaries} API servers")
    objects = "".join(
        f" {check.sentence}"
        for check in checks
        if check.name.startswith(("reach", "object:", "pods:"))
    )
    return "; ".join(parts) + f".{objects}"


def _health_in_words(checks: list[Check]) -> list[str]:
    """One part per set of nodes: what is looked at everywhere, and what was hit on some."""
    seen: dict[str, list[str]] = {}
    for check in checks:
        kind, _, where = check.name.partition(":")
        if kind == "health":
            node, _, component = where.partition(":")
            seen.setdefault(component, []).append(node)
    by_nodes: dict[tuple[str, ...], list[str]] = {}
    for component, nodes in seen.items():
        by_nodes.setdefault(tuple(sorted(nodes)), []).append(component)
    everywhere = max((len(nodes) for nodes in seen.values()), default=0)
    return [
        f"{' and '.join(components)} {'run and are' if len(components) > 1 else 'runs and is'} "
        "healthy on "
        + (f"all {len(nodes)} nodes" if len(nodes) == everywhere > 1 else ", ".join(nodes))
        for nodes, components in by_nodes.items()
    ]


def _node_checks(run: Run, node: str, reply: Reply[NodeStatus] | None) -> list[Check]:
    status = reply.value if reply else None
    if status is None:
        why = reply.error if reply else "there is no guard"
        return [
            Check(name=f"guard:{node}", passed=None, sentence=f"{node} cannot be looked at: {why}.")
        ]
    fault = faults_of(run.recipe).get(node)
    before = run.fingerprint["nodes"][node]
    checks: list[Check] = []
    now = {part.component: part for part in status.components}
    for component, was in before.items():
        part = now.get(component)
        if part is None:
            checks.append(
                Check(
                    name=f"process:{node}:{component}",
                    passed=None,
                    sentence=f"The guard on {node} says nothing of {component}.",
                )
            )
            continue
        hit = fault is not None and fault.component == part.component and _was_hit(run, status)
        checks += _component_checks(node, part, was, hit=hit)
    return checks + restoration_cuts.lists_nothing(run, node, reply)


def _component_checks(
    node: str, part: ComponentStatus, was: dict[str, Any], *, hit: bool
) -> list[Check]:
    name = f"{part.component} on {node}"
    now_manifest = dataclasses.asdict(part.manifest) if part.manifest else None
    same = now_manifest == was["manifest"]
    running = [[p.pid, p.started_ticks] for p in part.processes]
    checks = [
        Check(
            name=f"manifest:{node}:{part.component}",
            passed=same,
            sentence=f"The manifest of {name} is " + ("as before." if same else "not as before."),
        ),
    ]
    if not hit and part.component in _JUDGED_AS_PODS:
        return checks
    if hit:
        fresh = bool(running) and not any(process in was["processes"] for process in running)
        checks.append(
            Check(
                name=f"process:{node}:{part.component}",
                passed=fresh,
                sentence=f"{name} " + ("was started anew." if fresh else "does not run yet."),
            )
        )
    else:
        checks.append(
            Check(
                name=f"process:{node}:{part.component}",
                passed=bool(running),
                sentence=f"{name} " + ("runs." if running else "does not run."),
            )
        )
    checks.append(
        Check(
            name=f"health:{node}:{part.component}",
            passed=part.healthy,
            sentence=f"{name} "
            + ("is healthy." if part.healthy else f"is not healthy yet: {part.detail or '?'}."),
        )
    )
    if was["etcd_member"] is not None:
        member = part.etcd
        good = member is not None and member.member_id == was["etcd_member"] and member.has_leader
        checks.append(
            Check(
                name=f"member:{node}",
                passed=good if member else None,
                sentence=f"The etcd member on {node} "
                + ("is the same and knows a leader." if good else "is not back in its cluster."),
            )
        )
    return checks


def _was_hit(run: Run, status: NodeStatus) -> bool:
    """By the guard's journal, not by our rows: they may have missed the effect.

    A guard that ended between its journalled intent and the strike injected nothing: the old
    process is then the right one, and a new one will never come.
    """
    order = status.order
    return bool(order and order.order_id == run.order_id and order.injected_at and order.bitten)
