"""Rehearsals of ways back: done, checked, undone and compared."""

from __future__ import annotations

import pytest

from core.errors import Conflict
from core.models import SlotClaim
from migrator.choices import AttemptState, StepState
from migrator.models import Plan
from migrator.operations.plan_editing import edit_step
from migrator.operations.rehearsals import rehearse_step
from migrator.operations.steps import (
    start_step,
)
from tests.migrator.people import Shop, traffic_draft
from tests.migrator.world import StepWorld, Story

pytestmark = pytest.mark.django_db
_S = AttemptState


def test_a_rehearsal_does_checks_undoes_and_compares(shop: Shop, world: StepWorld) -> None:
    world.per_s = 200
    ended = Story(rehearse_step(actor=shop.cast.erik, step=shop.step(1)), world).go()
    assert ended.state == _S.RETURNED
    assert world.percent == 0
    made = shop.step(1).rehearsals.get(attempt=ended)
    assert (made.mark, made.succeeded, made.differences) == ("real_route", True, [])
    assert shop.step(1).state == StepState.WAITING, "a rehearsal is no step"
    assert not SlotClaim.objects.filter(released_at=None).exists()


def test_a_rehearsal_that_broke_shows_no_way_back(shop: Shop, world: StepWorld) -> None:
    world.per_s, world.broken_share = 200, 1.0
    ended = Story(rehearse_step(actor=shop.cast.erik, step=shop.step(1)), world).go()
    made = shop.step(1).rehearsals.get(attempt=ended)
    assert not made.succeeded
    assert "server errors" in made.notes
    with pytest.raises(Conflict) as told:
        start_step(actor=shop.cast.erik, step=shop.step(1))
    assert told.value.code == "unrehearsed", "the newest one failed, whatever came before"


def test_what_differs_afterwards_is_no_success(shop: Shop, world: StepWorld) -> None:
    world.per_s = 200
    story = Story(rehearse_step(actor=shop.cast.erik, step=shop.step(1)), world)
    story.to(_S.JUDGING)
    path = "/apis/projectcontour.io/v1/namespaces/shop/httpproxies/shop"
    world.store.edit(path, {"metadata": {"labels": {"by": "somebody"}}})
    ended = story.go()
    made = shop.step(1).rehearsals.get(attempt=ended)
    assert not made.succeeded
    assert made.differences == ["metadata.labels: was not there, is {'by': 'somebody'}"]


def test_a_step_that_changed_has_to_be_rehearsed_again(shop: Shop) -> None:
    step = shop.step(1)
    plan = Plan.objects.get(pk=shop.plan.pk)
    edit_step(
        actor=shop.cast.lea,
        step=step,
        version=plan.version,
        draft=traffic_draft(shop.cast, 1, watch_s=60),
    )
    with pytest.raises(Conflict) as told:
        start_step(actor=shop.cast.erik, step=shop.step(1))
    assert told.value.code == "unrehearsed"
