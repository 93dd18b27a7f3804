"""Restored, for cuts: what the kernels list, and whether packets go through again.

The first is a guard's word. The second is none: Belay's own machine connects to whatever of the
service it had reached just before the fault.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from core.errors import DomainError
from gamedays.drivers.fleet import NodeStatus, Reply
from gamedays.execution.checks import Check
from gamedays.execution.recipe import plan_of
from gamedays.scenarios.plan import Endpoint, NodeFault, faults_of

if TYPE_CHECKING:
    from gamedays.execution.world import Run, World

REACHED = "reached"
"""Where the fingerprint keeps the endpoints that answered before."""


def reached_before(faults: Iterable[NodeFault], world: World) -> dict[str, Any]:
    """For the fingerprint: which endpoints of the cuts answer now; empty where nothing is cut."""
    places = {place for fault in faults for place in fault.endpoints}
    if not places:
        return {}
    answering = sorted(world.cluster.reached(places))
    return {REACHED: [{"address": one.address, "port": one.port} for one in answering]}


def lists_nothing(run: Run, node: str, reply: Reply[NodeStatus] | None) -> list[Check]:
    """What the kernel of `node` still drops by its guard's word, whatever any order says."""
    fault = faults_of(run.recipe).get(node)
    if fault is None or fault.kind != "cut":
        return []
    name = f"cuts:{node}"
    status = reply.value if reply else None
    if status is None:
        why = reply.error if reply else "there is no guard"
        return [Check(name=name, passed=None, sentence=f"{node} cannot be looked at: {why}.")]
    left = status.cuts
    sentence = f"{node} drops no packets of ours."
    if left is None:
        sentence = f"The guard on {node} could not look which packets are dropped."
    elif left:
        sentence = f"{node} still drops what goes to {', '.join(left[:4])}."
    return [Check(name=name, passed=None if left is None else not left, sentence=sentence)]


def goes_through(run: Run, world: World) -> list[Check]:
    """What answered before answers again. A pod that was replaced has another address: then it
    is enough that one of the service's addresses answers."""
    if REACHED not in run.fingerprint:
        return []  # no cut, or a run of a version that did not look
    before = {Endpoint(**place) for place in run.fingerprint[REACHED]}
    if not before:
        sentence = (
            "None of the addresses could be reached from Belay's machine before the fault "
            "either: that nothing is dropped any more is said by the guards alone."
        )
        return [Check(name="reach", passed=True, sentence=sentence)]
    try:
        now = {
            place
            for cut in plan_of(run, world).cuts
            for place in world.cluster.service_endpoints(cut.namespace, cut.name)
        }
    except DomainError as error:
        sentence = f"The service's addresses cannot be looked up: {error.message}"
        return [Check(name="reach", passed=None, sentence=sentence)]
    wanted = before & now
    answering = world.cluster.reached(wanted or now)
    silent = wanted - answering
    if silent or not answering:
        places = ", ".join(f"{one.address}:{one.port}" for one in sorted(silent or now)[:4])
        sentence = f"From Belay's machine, no packet comes back from {places} yet."
        return [Check(name="reach", passed=False, sentence=sentence)]
    sentence = f"From Belay's machine, {len(answering)} of the service's addresses answer again."
    return [Check(name="reach", passed=True, sentence=sentence)]
