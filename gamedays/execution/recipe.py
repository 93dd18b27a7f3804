"""From a scenario's plan, which speaks of names, to the recipe: per node, what its guard does.

Resolving happens before anything is touched, on the living cluster, and what was found is
committed. The undo never needs to resolve anything again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.errors import DomainError
from gamedays.scenarios.plan import Endpoint, FaultPlan, Happening, NodeFault
from gamedays.scenarios.registry import get_scenario

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gamedays.execution.world import Run, World


class NotReadyError(Exception):
    """The cluster is not, or is no longer, as the plan needs it; the text says what to do."""


def plan_of(run: Run, world: World) -> FaultPlan:
    scenario = get_scenario(run.scenario_key)
    return scenario.plan(run.parameters, world.cluster.control_plane)


def target_nodes(plan: FaultPlan, world: World) -> set[str]:
    """The nodes whose guards will get an order."""
    if plan.cuts:
        return set(world.guards.nodes)
    if plan.objects:
        return set(world.cluster.control_plane[:1])
    return set(plan.nodes)


def resolve(run: Run, world: World) -> dict[str, NodeFault]:
    """Node → fault, with every name replaced by what stands for it now.

    Raises:
        NotReadyError: a name stands for nothing, or the cluster could not be asked.
    """
    plan = plan_of(run, world)
    hold_s = get_scenario(run.scenario_key).hold_s(run.parameters)
    try:
        if plan.cuts:
            fault = NodeFault(kind="cut", hold_s=hold_s, endpoints=_endpoints(plan, world))
            return dict.fromkeys(sorted(target_nodes(plan, world)), fault)
        if plan.objects:
            targets = tuple(
                target for each in plan.objects for target in world.cluster.read_target(each)
            )
            world.cluster.require_mintable(targets)
            fault = NodeFault(kind="object", hold_s=hold_s, objects=targets)
            return dict.fromkeys(sorted(target_nodes(plan, world)), fault)
    except DomainError as error:
        raise NotReadyError(error.message) from error
    return dict(plan.nodes)


def as_recipe(
    run: Run, faults: dict[str, NodeFault], meanwhile: Iterable[Happening] = ()
) -> dict[str, Any]:
    recipe: dict[str, Any] = {
        "order": run.order_id,
        "faults": {node: fault.as_data() for node, fault in sorted(faults.items())},
    }
    happenings = [each.as_data() for each in meanwhile]
    return recipe | ({"meanwhile": happenings} if happenings else {})


def _endpoints(plan: FaultPlan, world: World) -> tuple[Endpoint, ...]:
    found: set[Endpoint] = set()
    for cut in plan.cuts:
        places = world.cluster.service_endpoints(cut.namespace, cut.name)
        if not places:
            raise NotReadyError(
                f"The service {cut} has no address that packets could be dropped to. Look "
                "whether it is the right one and its pods run."
            )
        found.update(places)
    return tuple(sorted(found))
