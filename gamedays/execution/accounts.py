"""The account of a run that changes API objects: made at arming, gone before anything is clean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import DomainError
from gamedays.drivers.run_account import OUTLIVES_S
from gamedays.execution.checks import Check
from gamedays.scenarios.plan import faults_of, happenings_of
from gamedays.scenarios.registry import get_scenario

if TYPE_CHECKING:
    from gamedays.drivers.fleet import Credential
    from gamedays.execution.world import Run, World

_MARGIN_S = 120
"""The guards' own margin after the hold, and the time from minting to injecting."""


def mint(run: Run, world: World) -> Credential | None:
    """What a guard changes the run's objects with, and undoes it with, with nobody's help; None
    for a fault that changes none. The account may also end the pods that are to end meanwhile:
    that needs no guard, because there is nothing to undo.

    Raises:
        ClusterRefused, ClusterUnreachable: it could not be made, so nothing may be injected.
    """
    faults = faults_of(run.recipe).values()
    targets = [target for fault in faults for target in fault.objects]
    targets += [each.target for each in happenings_of(run.recipe)]
    if not targets:
        return None
    lives_s = max(fault.hold_s for fault in faults) + _MARGIN_S + OUTLIVES_S
    lives_s += get_scenario(run.scenario_key).recovery_budget_s
    credential = world.cluster.mint(run.order_id, targets, lives_s)
    return credential if any(fault.objects for fault in faults) else None


def remove(run: Run, world: World) -> list[Check]:
    """Remove it once its objects are proved restored, not before: a guard may still need it. That
    it is gone belongs to the proof that nothing of ours is left."""
    objects = any(fault.objects for fault in faults_of(run.recipe).values())
    if not objects and not happenings_of(run.recipe):
        return []
    try:
        world.cluster.unmint(run.order_id)
    except DomainError as error:
        sentence = f"The run's account is still there: {error.message}"
        return [Check(name="account", passed=False, sentence=sentence)]
    return [Check(name="account", passed=True, sentence="The run's account is gone.")]
