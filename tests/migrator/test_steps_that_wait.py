"""Steps without a lease: interrupted ones, soaks, checklists, confirmations."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from core.errors import Conflict, Invalid
from core.models import SlotClaim
from core.operations.emergency import record_stop
from core.watchdog import Watchdog
from migrator.choices import AttemptState, EntryKind, StepState
from migrator.execution import shell
from migrator.execution.homeward import Homeward
from migrator.execution.leases import StepLeases
from migrator.models import Attempt, RollbackPlan, Step, StepLease
from migrator.operations.overrides import declare_freeze
from migrator.operations.plan_editing import add_step
from migrator.operations.rehearsals import rehearse_step
from migrator.operations.retreats import roll_back
from migrator.operations.steps import (
    continue_step,
    start_step,
    tick_item,
    turn_round,
)
from migrator.runners.scale import Scale
from migrator.runners.traffic import Traffic
from tests.migrator.people import Shop, make_shop, rehearse, traffic_draft
from tests.migrator.world import Killed, StepWorld, Story, Trouble
from tests.people import Cast

pytestmark = pytest.mark.django_db
_S = AttemptState
SCALE = {"kind": "Deployment", "namespace": "shop", "name": "shop", "replicas": 3, "ready_s": 60}
LIST = {"items": "stop writes\nsee it equal", "back_items": "allow writes"}


def with_step(cast: Cast, kind: str, parameters: dict[str, Any], **more: Any) -> Shop:
    shop = make_shop(cast)
    draft = traffic_draft(cast, 1)
    made = add_step(
        actor=cast.lea,
        plan=shop.plan,
        draft=type(draft)(
            title="It", kind=kind, parameters=parameters, rollback=draft.rollback, **more
        ),
    )
    rehearse(made, cast)
    return shop


def it(shop: Shop) -> Step:
    return shop.plan.steps.get()


def scaled(world: StepWorld, replicas: int = 2) -> str:
    path = "/apis/apps/v1/namespaces/shop/deployments/shop"
    world.store.put(path, {"spec": {"replicas": replicas}, "status": {}})
    return path


@pytest.mark.parametrize("how", ["killed before", "killed after"])
def test_an_interrupted_step_waits_for_a_person_and_goes_on(
    cast: Cast, world: StepWorld, how: str
) -> None:
    shop = with_step(cast, "scale", SCALE)
    path = scaled(world)
    story = Story(start_step(actor=cast.erik, step=it(shop)), world)
    world.api.trouble = Trouble(1, how)
    with pytest.raises(Killed):
        story.go()
    story.watchdog()
    waits = story.go(lambda a: a.state == _S.INTERRUPTED)
    assert "lost in the middle" in waits.reason
    assert SlotClaim.objects.filter(holder=waits.pk, released_at=None).exists()
    story.conductor = None
    StepLease.objects.filter(attempt=waits).update(held=False)
    continue_step(actor=cast.erik, attempt=waits)
    story.go(lambda a: a.state == _S.JUDGING)
    assert world.store.objects[path]["spec"]["replicas"] == 3
    ready = {"observedGeneration": 9, "replicas": 3, "updatedReplicas": 3, "readyReplicas": 3}
    world.store.edit(path, {"status": ready})
    assert story.go().state == _S.DONE


def test_an_interrupted_step_can_be_taken_back(cast: Cast, world: StepWorld) -> None:
    shop = with_step(cast, "scale", SCALE)
    path = scaled(world)
    story = Story(start_step(actor=cast.erik, step=it(shop)), world)
    world.api.trouble = Trouble(1, "killed after")
    with pytest.raises(Killed):
        story.go()
    story.watchdog()
    waits = story.go(lambda a: a.state == _S.INTERRUPTED)
    turn_round(actor=cast.vera, attempt=waits)
    assert story.go().state == _S.RETURNED
    assert world.store.objects[path]["spec"]["replicas"] == 2


def test_what_nobody_thought_of_waits_for_a_person(
    cast: Cast, world: StepWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    shop = with_step(cast, "scale", SCALE)
    scaled(world)
    story = Story(start_step(actor=cast.erik, step=it(shop)), world)
    live = story.to(_S.JUDGING)
    monkeypatch.setattr(Scale, "judge", broken)
    monkeypatch.setattr(shell, "make_world", world.world)
    StepLease.objects.filter(attempt=live).update(held=False)
    fence = shell.claim(live.pk)
    assert fence is not None
    with pytest.raises(RuntimeError):
        shell.conduct(live.pk, fence, shell.Stopping())
    live.refresh_from_db()
    assert live.state == _S.INTERRUPTED
    assert "RuntimeError" in live.reason
    monkeypatch.setattr(Scale, "prepare", broken)
    turn_round(actor=cast.erik, attempt=live)
    story.conductor = None
    assert story.go().state == _S.RETURNED
    again = start_step(actor=cast.erik, step=it(shop))
    fence = shell.claim(again.pk)
    assert fence is not None
    with pytest.raises(RuntimeError):
        shell.conduct(again.pk, fence, shell.Stopping())
    again.refresh_from_db()
    assert again.state == _S.REFUSED


def test_a_soak_holds_no_lease_and_no_thread(cast: Cast, world: StepWorld) -> None:
    shop = with_step(cast, "observe", {"soak_s": 7200, "wait_s": 86400})
    story = Story(start_step(actor=cast.erik, step=it(shop)), world)
    live = story.to(_S.JUDGING)
    story.go(lambda _a: story.conductor is None)
    lease = StepLease.objects.get(attempt=live)
    assert not lease.held
    assert list(StepLeases().rows()) == [], "nobody has to be alive meanwhile"
    assert not SlotClaim.objects.exists(), "nothing is touched: a fault may be live"
    assert story.go().state == _S.DONE


def test_a_checklist_is_done_by_ticks_and_undone_by_ticks(cast: Cast, world: StepWorld) -> None:
    shop = with_step(cast, "manual", LIST)
    story = Story(start_step(actor=cast.erik, step=it(shop)), world)
    live = story.to(_S.JUDGING)
    with pytest.raises(Invalid):
        tick_item(actor=cast.erik, attempt=live, part="do", item=7)
    tick_item(actor=cast.erik, attempt=live, part="do", item=0)
    tick_item(actor=cast.lea, attempt=live, part="do", item=1)
    done = story.go()
    assert done.state == _S.DONE
    assert [str(t.ticked_by) for t in done.ticks.all()] == ["erik", "lea"]
    roll_back(actor=cast.erik, plan=shop.plan, down_to=0)
    back = Attempt.objects.live().get()
    way = Story(back, world)
    way.to(_S.RETURNING)
    tick_item(actor=cast.erik, attempt=back, part="back", item=0)
    assert way.go().state == _S.RETURNED


def test_a_person_confirms_a_check(cast: Cast, world: StepWorld) -> None:
    shop = with_step(
        cast,
        "observe",
        {"soak_s": 1, "wait_s": 100},
        check_kind="confirm",
        check_parameters={"question": "The books agree?"},
    )
    story = Story(start_step(actor=cast.erik, step=it(shop)), world)
    story.go(lambda a: "Waits for a person" in str(a.seen))
    tick_item(actor=cast.erik, attempt=story.attempt, part="check", item=999)
    assert story.go().state == _S.DONE


def test_a_way_back_that_could_not_be_made_is_not_called_back(cast: Cast, world: StepWorld) -> None:
    shop = with_step(cast, "scale", SCALE)
    step = it(shop)
    path = scaled(world, 3)
    Step.objects.filter(pk=step.pk).update(state=StepState.DONE)
    RollbackPlan.objects.filter(step=step).update(kind="scale", parameters={**SCALE, "replicas": 2})
    roll_back(actor=cast.erik, plan=shop.plan, down_to=0)
    way = Story(Attempt.objects.live().get(), world)
    way.to(_S.CHANGING)
    world.api.away = True
    waits = way.to(_S.INTERRUPTED)
    assert "nobody could tell" in waits.reason
    assert it(shop).state == StepState.DONE
    assert world.store.objects[path]["spec"]["replicas"] == 3


def test_a_way_back_goes_on_under_an_emergency_stop(cast: Cast, world: StepWorld) -> None:
    shop = with_step(cast, "scale", SCALE)
    path = scaled(world, 3)
    Step.objects.filter(pk=it(shop).pk).update(state=StepState.DONE)
    RollbackPlan.objects.update(kind="scale", parameters={**SCALE, "replicas": 2})
    roll_back(actor=cast.erik, plan=shop.plan, down_to=0)
    way = Story(Attempt.objects.live().get(), world)
    way.to(_S.CHANGING)
    world.api.away = True
    waits = way.to(_S.INTERRUPTED)
    world.api.away, way.conductor = False, None
    StepLease.objects.filter(attempt=waits).update(held=False)
    record_stop(actor=cast.vera, why="smoke")
    continue_step(actor=cast.erik, attempt=waits)
    way.to(_S.JUDGING)
    assert world.store.objects[path]["spec"]["replicas"] == 2


def test_nothing_that_stands_already_is_rehearsed(cast: Cast, world: StepWorld) -> None:
    shop = with_step(cast, "scale", SCALE)
    scaled(world, 3)
    ended = Story(rehearse_step(actor=cast.erik, step=it(shop)), world).go()
    assert ended.state == _S.REFUSED
    assert "nothing to undo" in ended.reason


def test_what_undoes_it_is_not_ticked_before_the_way_back(cast: Cast, world: StepWorld) -> None:
    shop = with_step(cast, "manual", LIST)
    story = Story(start_step(actor=cast.erik, step=it(shop)), world)
    live = story.to(_S.JUDGING)
    with pytest.raises(Conflict) as told:
        tick_item(actor=cast.erik, attempt=live, part="back", item=0)
    assert told.value.code == "ticks_closed"


def test_a_clock_that_is_set_back_does_not_lengthen_a_doubt(cast: Cast, world: StepWorld) -> None:
    shop = make_shop(cast, 1)
    story = Story(start_step(actor=cast.erik, step=shop.step(1)), world)
    story.to(_S.JUDGING)
    world.envoys.away = True
    world.forward(1.0)
    assert story.conductor is not None
    story.conductor.advance()
    world.clock.at -= dt.timedelta(hours=1)
    began = world.clock.mono
    assert story.go().state == _S.RETURNED
    assert world.clock.mono - began < 60


def test_what_waited_for_a_worker_over_night_is_not_begun(cast: Cast, world: StepWorld) -> None:
    shop = make_shop(cast, 1)
    story = Story(start_step(actor=cast.erik, step=shop.step(1)), world)
    story.to(_S.PREPARING)
    world.forward(3600)
    ended = story.go()
    assert (ended.state, world.percent) == (_S.REFUSED, 0)


def test_a_gate_that_closes_before_anything_is_changed_holds_it(
    cast: Cast, world: StepWorld
) -> None:
    shop = make_shop(cast, 1)
    story = Story(start_step(actor=cast.erik, step=shop.step(1)), world)
    story.to(_S.PREPARING)
    now = timezone.now()
    declare_freeze(
        actor=cast.lea,
        cluster=cast.cluster,
        starts_at=now - dt.timedelta(hours=1),
        ends_at=now + dt.timedelta(hours=1),
        why="The sale",
    )
    ended = story.go()
    assert (ended.state, world.percent) == (_S.REFUSED, 0)
    assert "frozen until" in ended.reason


def test_an_emergency_stop_holds_a_change_that_was_not_made_yet(
    cast: Cast, world: StepWorld
) -> None:
    shop = make_shop(cast, 1)
    story = Story(start_step(actor=cast.erik, step=shop.step(1)), world)
    story.go(lambda a: a.state == _S.CHANGING)
    record_stop(actor=cast.vera, why="smoke")
    ended = story.go()
    assert (ended.state, world.percent) == (_S.RETURNED, 0)
    assert "emergency stop" in ended.reason


def test_a_continued_step_asks_the_gates_again(cast: Cast, world: StepWorld) -> None:
    shop = with_step(cast, "scale", SCALE)
    scaled(world)
    story = Story(start_step(actor=cast.erik, step=it(shop)), world)
    world.api.trouble = Trouble(1, "killed before")
    with pytest.raises(Killed):
        story.go()
    story.watchdog()
    waits = story.go(lambda a: a.state == _S.INTERRUPTED)
    now = timezone.now()
    declare_freeze(
        actor=cast.lea,
        cluster=cast.cluster,
        starts_at=now - dt.timedelta(hours=1),
        ends_at=now + dt.timedelta(hours=1),
        why="The sale",
    )
    with pytest.raises(Conflict) as told:
        continue_step(actor=cast.erik, attempt=waits)
    assert told.value.code == "frozen"


def test_what_was_written_over_after_a_lost_answer_is_not_called_unchanged(
    cast: Cast, world: StepWorld
) -> None:
    shop = make_shop(cast, 1)
    story = Story(start_step(actor=cast.erik, step=shop.step(1)), world)
    story.go(lambda a: a.state == _S.CHANGING)
    world.api.trouble = Trouble(1, "unanswered")
    assert story.conductor is not None
    story.conductor.advance()
    assert world.percent == 1
    for service in world.spec["routes"][0]["services"]:
        service["weight"] = 30 if service["name"] == "shop" else 70
    assert story.to(_S.STUCK).reason.startswith("Somebody else changed the weights")


def test_a_return_that_nobody_holds_is_the_watchdogs(cast: Cast, world: StepWorld) -> None:
    """Told to stop with the API away: workers may be gone for good."""
    shop = make_shop(cast, 1)
    story = Story(start_step(actor=cast.erik, step=shop.step(1)), world)
    live = story.to(_S.JUDGING)
    world.api.away = True
    turn_round(actor=cast.vera, attempt=live)
    story.to(_S.RETURNING)
    world.rows.rest(live.pk, story._fence, again_s=1.0)
    watchdog = Watchdog(StepLeases())
    watchdog.advance(0.0, set())
    [(key, fence)] = watchdog.advance(20.0, set())
    assert key == live.pk
    world.api.away = False
    story.conductor = Homeward(live.pk, fence, world.world(live.pk))
    assert story.go().state == _S.RETURNED
    assert world.percent == 0


def test_a_return_that_nobody_thought_of_is_told(
    cast: Cast, world: StepWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    shop = make_shop(cast, 1)
    story = Story(start_step(actor=cast.erik, step=shop.step(1)), world)
    live = story.to(_S.JUDGING)
    monkeypatch.setattr(Traffic, "is_back", broken)
    monkeypatch.setattr(shell, "make_world", world.world)
    lease = StepLease.objects.get(attempt=live)
    fence = shell.take_over(live.pk, fence=lease.fence, renewals=lease.renewals)
    assert fence is not None
    with pytest.raises(RuntimeError):
        shell.conduct(live.pk, fence, shell.Stopping(), undo_only=True)
    live.refresh_from_db()
    assert live.state == _S.STUCK
    assert live.history.filter(kind=EntryKind.ALARM).exists()
