"""`object`: change API objects with an account minted for this one order, and put them back.

The change is conditional on the version that was armed. The undo is three-way on the touched
field alone: ours → what was there before; before already → marked; anything else is a person's,
and is left as it is. One object that cannot be restored never keeps the others waiting.
"""

from __future__ import annotations

import time

from guard import objects
from guard.faults.base import LOOK_CALMLY_S, LOOK_S, Step
from guard.object_steps import OneObject, sha256
from guard.protocol import (
    Code,
    Credential,
    ObjectReport,
    ObjectState,
    Phase,
)
from guard.record import Order, Recipe
from guard.world import RefusedError, World

PASS_S = 4.0
"""One pass over all objects. The guard's lock is held meanwhile, and its heartbeat waits."""
_DETAIL_MAX = 2000


class Object:
    """Objects of the API, changed for as long as the order is injected."""

    def aim(self, recipe: Recipe, credential: Credential | None, world: World) -> Recipe:
        """Read what the change will touch, and rehearse it without effect."""
        targets = recipe.fault.objects
        if credential is None:
            raise RefusedError(Code.MALFORMED, "a change of API objects needs a credential")
        until = time.monotonic() + PASS_S
        before: list[str] = []
        for target in targets:
            if time.monotonic() > until:
                raise RefusedError(Code.TARGET_ABSENT, _too_slow(len(before), len(targets)))
            one = OneObject(target=target, before="", credential=credential, api=world.objects)
            try:
                before.append(one.rehearse())
            except objects.UnfitError as error:
                raise RefusedError(Code.TARGET_ABSENT, str(error)) from error
            except OSError as error:
                raise RefusedError(
                    Code.TARGET_ABSENT, f"{objects.named(target)} cannot be looked at: {error}"
                ) from error
        return recipe.replace(objects_before=before)

    def prepare(self, order: Order, world: World) -> Order:
        """Nothing beside the order itself: what the undo needs is in its recipe."""
        return order

    def check(self, order: Order, world: World) -> Order:
        """Nothing to look at: every change is itself conditional on the version that was armed."""
        recipe = order.recipe
        reports = [
            ObjectReport(target=target, before_sha256=sha256(before))
            for target, before in zip(recipe.fault.objects, recipe.objects_before, strict=True)
        ]
        return order.replace(objects=reports)

    def strike(self, order: Order, world: World) -> Order:
        """Change every object, once. The first refusal ends it, and the order is undone."""
        until = time.monotonic() + PASS_S
        reports = list(order.objects)
        for index, one in enumerate(_all(order, world)):
            if time.monotonic() > until:
                raise OSError(_too_slow(index, len(reports)))
            reports[index] = one.change(reports[index])
        return order.replace(objects=reports)

    def watch(self, order: Order, world: World, now: float) -> Step:
        ones = _all(order, world)
        # Once it has bitten, one object a second: an API server has better things to do.
        indexes = [int(now) % len(ones)] if order.bitten else range(len(ones))
        until = time.monotonic() + PASS_S
        reports, bitten = list(order.objects), True
        for index in indexes:
            if time.monotonic() > until:
                return Step(order=order.replace(objects=reports), again_s=LOOK_S)
            reports[index], took = ones[index].look(reports[index])
            bitten = bitten and took
        order = order.replace(objects=reports, bitten=order.bitten or bitten)
        lasting = [report for report in reports if not _ends_a_pod(report)]
        reverted = bool(lasting) and all(one.state is ObjectState.BEFORE for one in lasting)
        if order.bitten and reverted:
            return Step(order=order, again_s=LOOK_S, reverted=True)
        return Step(order=order, again_s=LOOK_CALMLY_S if order.bitten else LOOK_S)

    def disarm(self, order: Order, world: World) -> Order:
        """Nothing was ever sent, and from now on nothing will be: the order has its tombstone."""
        return order

    def undo(self, order: Order, world: World, now: float) -> Step:
        """One pass over every object that is not restored yet, each for itself."""
        reports = list(order.objects)
        waiting = [index for index, report in enumerate(reports) if not _settled(report)]
        # Another one is first each second: a slow one must not always use up the pass.
        start = int(now) % len(waiting) if waiting else 0
        until = time.monotonic() + PASS_S
        ones, silent = _all(order, world), ""
        for index in [*waiting[start:], *waiting[:start]]:
            if time.monotonic() > until:
                break
            try:
                reports[index] = ones[index].restore(reports[index])
            except OSError as error:
                silent = str(error)
        order = order.replace(objects=reports)
        left = [reports[index] for index in waiting if not _settled(reports[index])]
        if not left:
            return Step(order=order.replace(phase=Phase.UNDONE, detail=""), again_s=LOOK_S)
        details = " ".join(report.detail for report in left if report.detail)
        if details:
            stuck = order.replace(phase=Phase.STUCK, detail=details[:_DETAIL_MAX])
            return Step(order=stuck, again_s=LOOK_CALMLY_S)
        if silent and len(left) == len(waiting):
            raise OSError(silent)
        return Step(order=order, again_s=LOOK_S)

    def accept(self, order: Order, world: World) -> bool:
        """What another person made of the objects, or their absence, may be kept; and what the
        run's account is not let in to read any more, for only a person can know how it is. What
        is seen to be still as the fault left it may not."""
        kept = (ObjectState.FOREIGN, ObjectState.GONE)
        return all(
            _settled(report)
            or report.state in kept
            or bool(report.detail and not report.now_sha256)
            for report in order.objects
        )


def _all(order: Order, world: World) -> list[OneObject]:
    if order.credential is None:
        raise OSError(f"order {order.order_id} has no credential any more")
    recipe = order.recipe
    return [
        OneObject(target=target, before=before, credential=order.credential, api=world.objects)
        for target, before in zip(recipe.fault.objects, recipe.objects_before, strict=True)
    ]


def _ends_a_pod(report: ObjectReport) -> bool:
    return report.target.change in objects.TERMINATIONS


def _settled(report: ObjectReport) -> bool:
    """Restored, or such that there is nothing to put back."""
    return report.state is ObjectState.RESTORED or _ends_a_pod(report)


def _too_slow(done: int, of: int) -> str:
    return f"the API server answered for {done} of {of} objects within {PASS_S:g} s only"
