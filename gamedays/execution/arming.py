"""Arming, injecting and seeing the bite: what is said to the guards, and what they must answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.errors import DomainError
from gamedays.drivers.fleet import NodeStatus, OrderReport, Phase, Reply, UndoReason
from gamedays.execution import accounts
from gamedays.scenarios.plan import faults_of

if TYPE_CHECKING:
    from gamedays.execution.world import Run, World

_BEFORE_BITE = frozenset({Phase.ARMED, Phase.INJECTING, Phase.INJECTED})


@dataclass(frozen=True, kw_only=True)
class Bite:
    bitten: bool
    sentence: str
    undone_by_itself: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)


def arm_and_read_back(run: Run, world: World) -> list[str]:
    """Arm all targets and read every order back; the reasons why not, or nothing.

    The marker is looked at once more, at the last moment before anything of ours is on a node.
    """
    try:
        world.cluster.require_marker()
    except DomainError as error:
        return [error.message]
    faults = faults_of(run.recipe)
    try:
        credential = accounts.mint(run, world)
    except DomainError as error:
        return [f"The change could not be armed with a way back: {error.message}"]
    armed = world.guards.arm(run.order_id, faults, credential)
    problems = [f"{node}: {reply.error}." for node, reply in armed.items() if not reply.ok]
    if problems:
        return problems
    for node, reply in world.guards.status().items():
        if node not in armed:
            continue
        given = armed[node].value
        held = reply.value.order if reply.value else None
        if given is None or held is None:
            problems.append(f"{node}: the order could not be read back ({reply.error}).")
        elif (held.order_id, held.phase) != (run.order_id, Phase.ARMED):
            problems.append(f"{node}: holds order {held.order_id} in phase {held.phase}.")
        elif not held.order_sha256 == given.stored_sha256 == given.report.order_sha256:
            problems.append(f"{node}: the order on its disk is not the one that was sent.")
    return problems


def inject(run: Run, world: World) -> list[str]:
    """Tell every target to inject; the reasons why any of them did not say that it did, and who
    did: what happened on those must not be called nothing."""
    replies = world.guards.inject(run.order_id, run.recipe["faults"])
    silent = [f"{node}: {reply.error}." for node, reply in replies.items() if not reply.ok]
    did = sorted(node for node, reply in replies.items() if reply.ok)
    return [*silent, f"{', '.join(did)} did."] if silent and did else silent


def look_for_bite(run: Run, world: World) -> Bite:
    """Was every old process seen gone, on every target?"""
    reports = _reports(run, world.guards.status())
    dead, alive = [], []
    for node, report in reports.items():
        if report is None:
            alive.append(f"{node} cannot be seen")
        elif report.phase not in _BEFORE_BITE:
            return Bite(bitten=False, sentence="", undone_by_itself=_itself(node, report))
        elif report.bitten:
            dead.append(_bitten(node, report))
        else:
            alive.append(_not_bitten(node, report))
    if alive or not dead:
        return Bite(bitten=False, sentence="; ".join(alive) + ".")
    evidence = {
        node: {
            "processes": [[p.pid, p.started_ticks] for p in report.processes_before],
            "bitten_at": report.bitten_at,
            "injected_at": report.injected_at,
        }
        | _more_evidence(report)
        for node, report in reports.items()
        if report is not None
    }
    return Bite(bitten=True, sentence="; ".join(dead) + ".", evidence=evidence)


def _bitten(node: str, report: OrderReport) -> str:
    if report.processes_before:
        pids = ", ".join(str(process.pid) for process in report.processes_before)
        return f"process {pids} on {node} is gone"
    if report.cut:
        return f"{node} drops what goes to {_places(report)}, and a fresh connection failed"
    changed = ", ".join(f"{each.target.change} of {each.target.name}" for each in report.objects)
    return f"seen changed by the guard on {node}: {changed or report.detail or 'its target'}"


def _not_bitten(node: str, report: OrderReport) -> str:
    if report.processes_before:
        return f"the process on {node} is still there"
    if report.cut:
        return f"{node} still reaches one of {_places(report)}"
    return f"{node} has not seen the change yet" + (f" ({report.detail})" if report.detail else "")


def _places(report: OrderReport) -> str:
    return ", ".join(f"{each.address}:{each.port}" for each in report.cut)


def _more_evidence(report: OrderReport) -> dict[str, Any]:
    """What names no process: endpoints and objects, never their contents."""
    more: dict[str, Any] = {}
    if report.cut:
        more["cut"] = [f"{each.address}:{each.port}" for each in report.cut]
    if report.objects:
        more["objects"] = [
            {
                "object": f"{each.target.kind} {each.target.namespace}/{each.target.name}",
                "change": each.target.change,
                "before_sha256": each.before_sha256,
                "now_sha256": each.now_sha256,
            }
            for each in report.objects
        ]
    return more


def undone_by_itself(run: Run, world: World) -> str:
    """Whether a guard's dead-man switch ended the fault; a sentence, or empty."""
    for node in run.recipe["faults"]:
        status = world.watch.node_status(node)
        report = status.order if status else None
        if report and report.order_id == run.order_id and report.phase not in _BEFORE_BITE:
            return _itself(node, report)
    return ""


def undone_by_itself_says(replies: Mapping[str, Reply[OrderReport]]) -> str:
    """The same from the answers to an undo: a guard that nobody could reach tells it only then."""
    for node, reply in sorted(replies.items()):
        report = reply.value
        if report and report.undo_reason not in (None, UndoReason.REQUESTED):
            return _itself(node, report)
        if report and report.fault is None:
            # Nothing but a tombstone. What it was told, it had written down: the journal is lost.
            return (
                f"The guard on {node} has lost the order, and with it until when the fault was on."
            )
    return ""


def _itself(node: str, report: OrderReport) -> str:
    return f"The guard on {node} undid the fault by itself ({report.undo_reason})."


def _reports(run: Run, replies: dict[str, Reply[NodeStatus]]) -> dict[str, OrderReport | None]:
    reports: dict[str, OrderReport | None] = {}
    for node in run.recipe["faults"]:
        reply = replies.get(node)
        order = reply.value.order if reply and reply.value else None
        reports[node] = order if order and order.order_id == run.order_id else None
    return reports
