"""Before anything is touched: is it the right cluster, is it steady, is there a way back?"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from core.errors import ClusterUnreachable, DomainError
from gamedays.choices import MustHold
from gamedays.drivers.fleet import NodeStatus, Phase, too_old
from gamedays.execution import meanwhile, restoration_cuts, restoration_objects
from gamedays.execution.recipe import NotReadyError, as_recipe, plan_of, resolve, target_nodes
from gamedays.probes.registry import KINDS
from gamedays.scenarios.base import ClusterState, ComponentState
from gamedays.scenarios.plan import NodeFault
from gamedays.scenarios.registry import get_scenario

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gamedays.execution.world import Run, Sample, World

STEADY_SHARE = 0.9
"""Of the attempts of each probe that must pass before a fault; one lost packet is no outage."""


def targets(run: Run, world: World) -> set[str]:
    """The nodes whose guards will get an order."""
    return target_nodes(plan_of(run, world), world)


def look(run: Run, world: World) -> list[str]:
    """Every reason to refuse, as sentences that say what to do; empty: go."""
    try:
        world.cluster.require_marker()
    except ClusterUnreachable as error:
        return [
            (
                f"The cluster gave no answer: {error.message}. Look whether its API is up and "
                "whether this machine may reach it; then start again."
            )
        ]
    except DomainError as error:
        return [error.message]
    scenario = get_scenario(run.scenario_key)
    if scenario.version != run.scenario_version:
        return [
            (
                f"The scenario is now version {scenario.version}, this was planned with version "
                f"{run.scenario_version}. Book it again."
            )
        ]
    missing = sorted(set(world.cluster.control_plane) - set(world.guards.nodes))
    if missing:
        return [
            (
                f"There is no guard on {', '.join(missing)}: nothing would undo the fault there. "
                "Install it with `manage.py guard install CLUSTER`."
            )
        ]
    problems = _guards(world, _asked(run, world))
    if problems:
        return problems
    replies = world.guards.status()
    silent = sorted(node for node, reply in replies.items() if reply.value is None)
    if silent:
        return [f"The guard on {', '.join(silent)} does not answer."]
    problems = scenario.preflight(
        run.parameters,
        cluster_state({node: reply.value for node, reply in replies.items() if reply.value}),
    )
    return problems or _names_that_stand_for_nothing(run, world)


def steady(
    run: Run,
    samples: dict[int, tuple[int, int]],
    world: World,
    lately: Iterable[Sample] = (),
) -> list[str]:
    """`samples`: probe id → (passed, attempts). Reasons why the state is not steady.

    `lately`: the looks of the last seconds. The checks may take half a minute and more, and what
    was good for so long must not outweigh that nothing passes now.
    """
    if not world.watch.probes:
        return [
            (
                "The cluster has no probes that are on, so nothing could be seen. Add one that a "
                "user would feel on the cluster's page."
            )
        ]
    problems = []
    judged = {
        expectation.probe_kind
        for expectation in get_scenario(run.scenario_key).expectations(run.parameters)
    }
    for probe in world.watch.probes:
        only_seen = probe.must_hold == MustHold.SCENARIO and probe.kind not in judged
        if only_seen and KINDS[probe.kind].steady_where_judged:
            continue
        passed, attempts = samples.get(probe.id, (0, 0))
        if attempts == 0:
            problems.append(f"“{probe.title}” could not be looked at: unknown is not steady.")
        elif KINDS[probe.kind].steady and passed < STEADY_SHARE * attempts:
            problems.append(
                f"“{probe.title}” is already failing ({passed} of {attempts} passed). Breaking "
                "something now would prove nothing; mend it first."
            )
        looks = [each for each in lately if each.probe_id == probe.id and each.attempts]
        if KINDS[probe.kind].steady and len(looks) > 1 and not any(s.passed for s in looks):
            problems.append(
                f"“{probe.title}” is failing now: none of its last {len(looks)} looks passed. "
                "Breaking something now would prove nothing; mend it first."
            )
    return problems


def prepare(run: Run, world: World) -> tuple[dict[str, Any], dict[str, Any]]:
    """The recipe that undoes it and the fingerprint of the state before.

    Raises:
        NotReadyError: the cluster changed between the look and the arming.
    """
    replies = world.guards.status()
    before: dict[str, Any] = {}
    for node, reply in replies.items():
        if reply.value is None:
            raise NotReadyError(f"The guard on {node} stopped answering.")
        order = reply.value.order
        if order is not None and order.phase is not Phase.UNDONE:
            # What stands there now is not the state before: these rows are older than the order.
            raise NotReadyError(
                f"The guard on {node} holds order {order.order_id} ({order.phase}). Wait until "
                "it is undone."
            )
        before[node] = _fingerprint(reply.value)
    # Half a minute may have gone by since the first look: what made it safe may not hold any more.
    problems = get_scenario(run.scenario_key).preflight(
        run.parameters,
        cluster_state({node: reply.value for node, reply in replies.items() if reply.value}),
    )
    if problems:
        raise NotReadyError(" ".join(problems))
    faults = resolve(run, world)
    fingerprint: dict[str, Any] = {"nodes": before}
    fingerprint |= restoration_cuts.reached_before(faults.values(), world)
    targets = restoration_objects.targets_of(faults.values())
    if targets:
        try:
            fingerprint["objects"] = world.cluster.fingerprint(targets)
        except DomainError as error:
            raise NotReadyError(error.message) from error
    return as_recipe(run, faults, meanwhile.resolve(run, world, faults)), fingerprint


def cluster_state(statuses: dict[str, NodeStatus]) -> ClusterState:
    return ClusterState(
        nodes={
            node: {
                part.component: ComponentState(
                    running=bool(part.processes),
                    healthy=part.healthy,
                    has_leader=part.etcd.has_leader if part.etcd else None,
                )
                for part in status.components
            }
            for node, status in statuses.items()
        }
    )


def _names_that_stand_for_nothing(run: Run, world: World) -> list[str]:
    """Resolved once more when the recipe is written; here only to refuse early."""
    try:
        meanwhile.resolve(run, world, resolve(run, world))
    except NotReadyError as error:
        return [str(error)]
    return []


def _asked(run: Run, world: World) -> dict[str, NodeFault]:
    """Target node → what its guard will be asked for, before names are resolved."""
    plan = plan_of(run, world)
    fault = NodeFault(kind="cut" if plan.cuts else "object", hold_s=0)
    return {node: plan.nodes.get(node, fault) for node in target_nodes(plan, world)}


def _guards(world: World, asked: dict[str, NodeFault]) -> list[str]:
    problems = []
    for node, reply in sorted(world.guards.hello().items()):
        hello = reply.value
        fault = asked.get(node)
        if hello is None:
            problems.append(
                f"The guard on {node} does not answer: {reply.error}. Without it nothing would "
                "undo a fault there."
            )
        elif hello.stage != "qa" or hello.cluster_uid != str(world.cluster.uid):
            problems.append(
                f"The guard on {node} belongs to cluster {hello.cluster_uid} ({hello.stage}), not "
                "to this one. Install this cluster's guard there."
            )
        elif fault is not None and hello.order is not None:
            problems.append(
                f"The guard on {node} still holds order {hello.order.order_id} "
                f"({hello.order.phase}). Wait until it is undone."
            )
        elif fault is not None and (problem := too_old(node, hello, fault)):
            problems.append(problem)
    return problems


def _fingerprint(status: NodeStatus) -> dict[str, Any]:
    return {
        part.component: {
            "manifest": dataclasses.asdict(part.manifest) if part.manifest else None,
            "processes": [[p.pid, p.started_ticks] for p in part.processes],
            "etcd_member": part.etcd.member_id if part.etcd else None,
        }
        for part in status.components
    }
