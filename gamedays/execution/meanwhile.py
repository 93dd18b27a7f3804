"""What happens while the fault is live, as its scenario foresees it: one pod ends, once.

It is in the recipe like the fault itself, named to the pod, so that nobody takes it for a surprise
afterwards. There is nothing to undo: whoever made the pod makes another one. Only the conductor
that injected lets it happen; whoever takes over brings the fault home and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.errors import DomainError
from gamedays.choices import EntryKind
from gamedays.execution.recipe import NotReadyError, plan_of
from gamedays.execution.restoration_objects import targets_of
from gamedays.scenarios.plan import Happening, ObjectFault, PodName, faults_of, happenings_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gamedays.execution.world import PodCensus, Run, World
    from gamedays.scenarios.plan import NodeFault

AFTER_S = 5.0
"""After the bite was seen, at the earliest."""


def resolve(run: Run, world: World, faults: Mapping[str, NodeFault]) -> tuple[Happening, ...]:
    """Which pods are meant, and whether the run may end them.

    Raises:
        NotReadyError: a name stands for no ready pod, two for the same one, or the run could have
            no account of its own.
    """
    found = []
    try:
        for each in plan_of(run, world).meanwhile:
            [target] = world.cluster.read_target(
                ObjectFault(
                    kind="pod",
                    namespace=each.namespace,
                    name=each.name,
                    change="delete-pod",
                    select="one-pod-of",
                )
            )
            found.append(Happening(key=each.key, belief=each.belief, target=target))
        targets = [happening.target for happening in found]
        if targets:
            world.cluster.require_mintable([*targets_of(faults.values()), *targets])
    except DomainError as error:
        raise NotReadyError(error.message) from error
    if len({target.uid for target in targets}) < len(targets):
        raise NotReadyError(
            f"Two of what is to happen meanwhile stand for the pod {found[0].pod}: one pod ends "
            "only once. Choose another Deployment for one of them."
        )
    return tuple(found)


def due(live_s: float, hold_s: float, *, still_there: bool) -> bool:
    """Whether it is time, `live_s` seconds after the bite.

    A Deployment counts no replicas as soon as its pods are told to end, and a kubelet may take
    half a minute over ending them: until then they do their work, and what happens would show
    nothing of the fault. At half the hold it happens all the same, while there is time to watch.
    """
    return live_s >= AFTER_S and (not still_there or live_s >= hold_s / 2)


def still_there(recipe: Mapping[str, Any], census: PodCensus) -> bool:
    """Whether a pod is still listed that the objects of the fault itself are to end."""
    changes = [
        fault for fault in faults_of(recipe).values() if fault.objects and not fault.component
    ]
    return any(
        fault.takes(
            pod.node, PodName(node=pod.node, namespace=pod.namespace, name=pod.name, uid=pod.uid)
        )
        for pod in census.pods
        for fault in changes
    )


def happen(run: Run, world: World) -> None:
    """End the pods, each once, and say so on the timeline; what could not be done is said too."""
    for each in happenings_of(run.recipe):
        data = {"meanwhile": each.key, "pod": each.pod, "uid": each.target.uid}
        try:
            world.cluster.end_pod(run.order_id, each.target)
        except DomainError as error:
            text = f"Pod {each.pod} was to end meanwhile, and did not: {error.message}"
            data |= {"why": error.message}
        else:
            text = f"Meanwhile pod {each.pod} was deleted, as this run foresees."
            data |= {"done_at": world.clock.now().isoformat()}
        world.rows.write_entry(run, kind=EntryKind.EVIDENCE, text=text, data=data)
