"""A worker that was stopped and goes on, and a write that comes late: neither undoes what others
did since."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from core.lost_rows import RowsLostError
from migrator.choices import AttemptState, StepState
from migrator.models import StepLease
from migrator.operations.steps import start_step, turn_round
from tests.migrator.people import Shop
from tests.migrator.world import PROXY, StepWorld, Story

pytestmark = pytest.mark.django_db
_S = AttemptState


def begin(shop: Shop, world: StepWorld) -> Story:
    return Story(start_step(actor=shop.cast.erik, step=shop.step(1)), world)


def before_write(world: StepWorld, then: Callable[[], object]) -> None:
    """The process stops just before its next write, and goes on after `then`."""
    ask = world.api.ask

    def stopped(method: str, path: str, *more: Any, **named: Any) -> Any:
        if method == "GET":
            world.api.ask = ask  # type: ignore[method-assign]
            then()
        return ask(method, path, *more, **named)

    world.api.ask = stopped  # type: ignore[method-assign]


def set_weights(world: StepWorld, percent: int) -> None:
    spec = copy.deepcopy(world.spec)
    for service in spec["routes"][0]["services"]:
        service["weight"] = percent if service["name"] == "shop" else 100 - percent
    world.store.edit(PROXY, {"spec": spec})


def test_a_worker_that_was_stopped_before_its_write_does_not_write_when_it_goes_on(
    shop: Shop, world: StepWorld
) -> None:
    story = begin(shop, world)
    story.go(lambda a: a.state == _S.CHANGING)
    stale = story.conductor
    assert stale is not None

    def meanwhile() -> None:
        story.watchdog()
        assert story.go().state == _S.RETURNED

    before_write(world, meanwhile)
    assert stale.advance() is None
    assert world.percent == 0


def test_a_change_that_was_sent_before_the_return_comes_too_late(
    shop: Shop, world: StepWorld
) -> None:
    story = begin(shop, world)
    story.go(lambda a: a.state == _S.CHANGING)
    original = copy.deepcopy(world.store.objects[PROXY])
    late = copy.deepcopy(original)
    story.watchdog()
    assert story.go().state == _S.RETURNED
    for service in late["spec"]["routes"][0]["services"]:
        service["weight"] = 1 if service["name"] == "shop" else 99
    change = {
        "spec": late["spec"],
        "metadata": {"resourceVersion": late["metadata"]["resourceVersion"]},
    }
    status, _ = world.store.answer("PATCH", PROXY, "owner-token", change, "merge-patch")
    assert status == 409
    assert world.percent == 0
    assert world.spec == original["spec"]
    assert not world.store.objects[PROXY]["metadata"].get("annotations")


def test_without_rows_it_goes_back_once_and_leaves_what_comes_later(
    shop: Shop, world: StepWorld
) -> None:
    story = begin(shop, world)
    story.to(_S.JUDGING)
    world.rows.away = True
    assert story.conductor is not None
    story.conductor.advance()
    assert world.percent == 0
    set_weights(world, 1)  # the watchdog had it, and the step was started again
    world.forward(1.0)
    story.conductor.advance()
    assert world.percent == 1


def test_a_worker_that_was_stopped_for_an_hour_writes_nothing_without_rows(
    shop: Shop, world: StepWorld
) -> None:
    story = begin(shop, world)
    story.to(_S.JUDGING)
    world.forward(3600)
    world.rows.away = True
    assert story.conductor is not None
    story.conductor.advance()
    assert world.percent == 1, "somebody else may have it by now, and may have accepted it"


def test_what_may_be_done_already_is_not_taken_back_for_want_of_an_answer(
    shop: Shop, world: StepWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.per_s = 200
    story = begin(shop, world)
    story.to(_S.JUDGING)
    move = world.rows.move

    def unanswered(trial: Any, to: AttemptState, **more: Any) -> Any:
        moved = move(trial, to, **more)
        if to == _S.DONE:
            raise RowsLostError("the answer of the commit was lost")
        return moved

    monkeypatch.setattr(world.rows, "move", unanswered)
    assert story.go().state == _S.DONE
    assert shop.step(1).state == StepState.DONE
    assert world.percent == 1, "what is called done stands"


def test_a_long_look_keeps_its_lease(shop: Shop, world: StepWorld) -> None:
    story = begin(shop, world)
    live = story.to(_S.JUDGING)
    renewals = StepLease.objects.get(attempt=live).renewals
    assert story.conductor is not None
    for _ in range(3):
        world.clock.forward(5.0)
        story.conductor._hands.api.ask("GET", PROXY)
    assert StepLease.objects.get(attempt=live).renewals == renewals + 3
    turn_round(actor=shop.cast.vera, attempt=live)
    assert story.go().state == _S.RETURNED
