"""Restored, for API objects: their content as before, and as many ready pods as before.

Looked at with Belay's own account, never by a guard's word. What could not be looked at is
*unknown*, and has not passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.errors import DomainError
from gamedays.execution.checks import Check
from gamedays.scenarios.plan import NodeFault, ObjectTarget, faults_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gamedays.execution.world import Run, World


def targets_of(faults: Iterable[NodeFault]) -> tuple[ObjectTarget, ...]:
    return tuple(target for fault in faults for target in fault.objects)


def look(run: Run, world: World) -> list[Check]:
    """One check per object that was changed, and one per owner of pods that were ended."""
    before: dict[str, Any] = run.fingerprint.get("objects", {})
    targets = targets_of(faults_of(run.recipe).values())
    owners = sorted((name, was) for name, was in before.items() if "owner_uid" in was)
    return [
        *(_content(target, before, world) for target in targets if target.kind != "pod"),
        *(_pods(name, was, world) for name, was in owners),
    ]


def _content(target: ObjectTarget, before: dict[str, Any], world: World) -> Check:
    try:
        [(name, now)] = world.cluster.fingerprint((target,)).items()
    except DomainError as error:
        name = f"{target.kind} {target.namespace}/{target.name}"
        return Check(
            name=f"object:{name}",
            passed=None,
            sentence=f"The {name} cannot be looked at: {error.message}",
        )
    was = before.get(name, {})
    if (now["uid"], now["sha256"]) != (was.get("uid"), was.get("sha256")):
        return Check(name=f"object:{name}", passed=False, sentence=f"The {name} is not as before.")
    if now.get("settled") is False or now.get("available", 0) < was.get("available", 0):
        return Check(
            name=f"object:{name}",
            passed=False,
            sentence=f"The {name} is as before, but only {now['available']} of its "
            f"{was['available']} pods are available yet.",
        )
    return Check(name=f"object:{name}", passed=True, sentence=f"The {name} is as before.")


def _pods(name: str, was: dict[str, Any], world: World) -> Check:
    try:
        ready = world.cluster.ready_like(was["namespace"], was["owner_uid"])
    except DomainError as error:
        return Check(
            name=f"pods:{name}",
            passed=None,
            sentence=f"The pods of {name} cannot be looked at: {error.message}",
        )
    return Check(
        name=f"pods:{name}",
        passed=ready >= was["ready"],
        sentence=f"{ready} of {was['ready']} pods of {name} are ready again.",
    )
