"""A traffic step from its first look to its end, with real rows and a world faked at its edge."""

from __future__ import annotations

import copy

import pytest

from core.models import SlotClaim
from migrator.choices import AttemptState, StepState
from migrator.execution.conductor import Conductor
from migrator.models import Attempt, HistoryEntry
from migrator.operations.retreats import roll_back
from migrator.operations.steps import resolve_by_hand, start_step, turn_round
from tests.migrator.people import Shop
from tests.migrator.world import PROXY, Killed, StepWorld, Story, Trouble

pytestmark = pytest.mark.django_db
_S = AttemptState


def begin(shop: Shop, world: StepWorld, percent: int = 1) -> Story:
    return Story(start_step(actor=shop.cast.erik, step=shop.step(percent)), world)


def other_weights(world: StepWorld, percent: int) -> None:
    """Somebody else moves the same weights."""
    spec = copy.deepcopy(world.spec)
    for service in spec["routes"][0]["services"]:
        service["weight"] = percent if service["name"] == "shop" else 100 - percent
    world.store.edit(PROXY, {"spec": spec})


def test_a_step_that_is_accepted(shop: Shop, world: StepWorld) -> None:
    world.per_s = 100
    story = begin(shop, world)
    before = copy.deepcopy(world.spec)
    live = story.to(_S.JUDGING)
    assert world.percent == 1
    assert live.exposes
    assert live.before["shares"], "what it was is written down"
    assert SlotClaim.objects.filter(holder=live.pk, released_at=None).exists()
    done = story.go()
    assert (done.state, done.reason) == (_S.DONE, "")
    assert world.percent == 1
    assert shop.step(1).state == StepState.DONE
    assert not SlotClaim.objects.filter(holder=live.pk, released_at=None).exists()
    assert done.seen["figures"]["kubernetes"]["requests"] >= 5
    assert world.spec["routes"][0]["timeoutPolicy"] == before["routes"][0]["timeoutPolicy"]


def test_what_was_is_committed_before_anything_is_changed(shop: Shop, world: StepWorld) -> None:
    story = begin(shop, world)
    changing = story.go(lambda a: a.state == _S.CHANGING)
    assert changing.before["percent"] == 0
    assert changing.before["fingerprint"]["spec"] == world.spec
    assert world.percent == 0, "nothing was changed yet"


def test_the_whole_way_up_and_back_field_by_field(shop: Shop, world: StepWorld) -> None:
    original = copy.deepcopy(world.spec)
    world.per_s = 100
    for percent in (1, 10, 50, 100):
        assert begin(shop, world, percent).go().state == _S.DONE
        assert world.percent == percent
    retreat = roll_back(actor=shop.cast.erik, plan=shop.plan, down_to=0)
    for percent in (50, 10, 1, 0):
        live = Attempt.objects.live().get(plan=shop.plan)
        assert Story(live, world).go().state == _S.RETURNED
        assert world.percent == percent
    retreat.refresh_from_db()
    assert retreat.ended_at is not None
    assert retreat.stopped_because == ""
    assert world.spec == original
    assert {s.state for s in shop.plan.steps.all()} == {StepState.ROLLED_BACK}
    assert begin(shop, world, 1).go().state == _S.DONE, "and up again"


def test_errors_of_the_new_side_bring_it_back_by_itself(shop: Shop, world: StepWorld) -> None:
    world.broken_share, world.per_s = 1.0, 200
    original = copy.deepcopy(world.spec)
    ended = begin(shop, world).go()
    assert ended.state == _S.RETURNED
    assert ended.reason.startswith("By itself: ")
    assert "server errors" in ended.reason
    assert world.spec == original
    assert shop.step(1).state == StepState.WAITING


def test_too_few_requests_are_unknown_and_go_back(shop: Shop, world: StepWorld) -> None:
    world.per_s = 0
    ended = begin(shop, world).go()
    assert ended.state == _S.RETURNED
    assert "Unknown for" in ended.reason
    assert "fewer than 5" in ended.reason
    assert world.percent == 0


def test_an_envoy_that_does_not_tell_is_unknown_and_goes_back(shop: Shop, world: StepWorld) -> None:
    story = begin(shop, world)
    story.to(_S.JUDGING)
    world.envoys.away = True
    ended = story.go()
    assert ended.state == _S.RETURNED
    assert "Unknown for" in ended.reason
    assert world.percent == 0


def test_an_envoy_that_was_away_for_a_moment_costs_nothing(shop: Shop, world: StepWorld) -> None:
    world.per_s = 200
    story = begin(shop, world)
    story.to(_S.JUDGING)
    world.envoys.away = True
    for _ in range(5):
        assert story.conductor is not None
        story.conductor.advance()
        world.forward(1.0)
    world.envoys.away = False
    assert story.go().state == _S.DONE


def test_what_is_never_counted_is_not_begun(shop: Shop, world: StepWorld) -> None:
    world.envoys.away = True
    ended = begin(shop, world).go()
    assert ended.state == _S.REFUSED
    assert "cannot be counted" in ended.reason
    assert world.api.writes == 0


def test_a_person_turns_it_round_in_one_click(shop: Shop, world: StepWorld) -> None:
    story = begin(shop, world)
    live = story.to(_S.JUDGING)
    turn_round(actor=shop.cast.vera, attempt=live)
    ended = story.go()
    assert ended.state == _S.RETURNED
    assert ended.reason == "vera asked to go back."
    assert world.percent == 0


def test_somebody_elses_weights_are_told_and_never_written_over(
    shop: Shop, world: StepWorld
) -> None:
    story = begin(shop, world)
    story.to(_S.JUDGING)
    other_weights(world, 30)
    stuck = story.to(_S.STUCK)
    assert "Somebody else changed the weights" in stuck.reason
    assert world.percent == 30
    other_weights(world, 0)
    assert story.go().state == _S.RETURNED, "what a person put right is seen"


def test_somebody_else_before_our_write_is_refused(shop: Shop, world: StepWorld) -> None:
    story = begin(shop, world)
    story.go(lambda a: a.state == _S.CHANGING)
    other_weights(world, 30)
    ended = story.go()
    assert ended.state == _S.REFUSED
    assert world.percent == 30


def test_another_field_that_somebody_changed_is_kept_on_the_way_back(
    shop: Shop, world: StepWorld
) -> None:
    story = begin(shop, world)
    live = story.to(_S.JUDGING)
    spec = copy.deepcopy(world.spec)
    spec["routes"][0]["timeoutPolicy"] = {"response": "9s"}
    spec["routes"].insert(
        0, {"conditions": [{"prefix": "/new"}], "services": [{"name": "x", "port": 80}]}
    )
    world.store.edit(PROXY, {"spec": spec})
    turn_round(actor=shop.cast.erik, attempt=live)
    assert story.go().state == _S.RETURNED
    assert world.spec["routes"][1]["services"][1]["weight"] == 0
    assert world.spec["routes"][1]["timeoutPolicy"] == {"response": "9s"}
    assert world.spec["routes"][0]["conditions"] == [{"prefix": "/new"}]
    told = HistoryEntry.objects.filter(attempt=live, data__state=_S.RETURNED).get()
    assert "Others changed meanwhile" in told.text


def test_a_route_that_is_gone_is_stuck_and_a_lead_answers(shop: Shop, world: StepWorld) -> None:
    story = begin(shop, world)
    story.to(_S.JUDGING)
    del world.store.objects[PROXY]
    stuck = story.to(_S.STUCK)
    assert SlotClaim.objects.filter(holder=stuck.pk, released_at=None).exists(), "it keeps the slot"
    ended = resolve_by_hand(actor=shop.cast.lea, attempt=stuck, reason="Made anew by hand.")
    assert ended.state == _S.RESOLVED_BY_HAND
    assert not SlotClaim.objects.filter(holder=stuck.pk, released_at=None).exists()
    assert story.conductor is not None
    assert story.conductor.advance() is None, "its old conductor changes nothing any more"


@pytest.mark.parametrize("at", [_S.PREPARING, _S.CHANGING, _S.JUDGING, _S.DONE])
@pytest.mark.parametrize("when", ["before", "after"])
def test_row_46_a_conductor_that_dies_at_a_commit(
    shop: Shop, world: StepWorld, when: str, at: AttemptState
) -> None:
    """Afterwards either nothing was changed, or the former weights are back, or it was accepted."""
    world.per_s = 200
    original = copy.deepcopy(world.spec)
    story = begin(shop, world)
    world.rows.die_at = (when, at)
    with pytest.raises(Killed):
        story.go()
    if Attempt.objects.live().filter(pk=story.attempt.pk).exists():
        story.watchdog()
    ended = story.go()
    if (when, at) == ("after", _S.DONE):
        assert (ended.state, world.percent) == (_S.DONE, 1)
    elif at == _S.PREPARING or (when, at) == ("before", _S.CHANGING):
        # Nothing was touched when it died: whoever came next went on.
        assert (ended.state, world.percent) == (_S.DONE, 1)
    else:
        assert ended.state == _S.RETURNED, ended.reason
        assert world.spec == original


@pytest.mark.parametrize("how", ["killed before", "killed after"])
def test_row_46_a_conductor_that_dies_at_its_write(shop: Shop, world: StepWorld, how: str) -> None:
    original = copy.deepcopy(world.spec)
    story = begin(shop, world)
    world.api.trouble = Trouble(1, how)
    with pytest.raises(Killed):
        story.go()
    assert world.percent == (1 if how == "killed after" else 0)
    story.watchdog()
    assert story.go().state == _S.RETURNED
    assert world.spec == original


@pytest.mark.parametrize("how", ["lost", "unanswered"])
def test_a_write_whose_answer_is_lost_is_seen_and_not_made_twice(
    shop: Shop, world: StepWorld, how: str
) -> None:
    world.per_s = 200
    story = begin(shop, world)
    world.api.trouble = Trouble(1, how)
    assert story.go().state == _S.DONE
    assert world.percent == 1
    assert world.api.writes == (2 if how == "lost" else 1)


@pytest.mark.parametrize("how", ["lost", "unanswered", "killed before", "killed after"])
def test_trouble_on_the_way_back(shop: Shop, world: StepWorld, how: str) -> None:
    original = copy.deepcopy(world.spec)
    world.broken_share, world.per_s = 1.0, 200
    story = begin(shop, world)
    story.to(_S.JUDGING)
    world.api.trouble = Trouble(world.api.writes + 1, how)
    try:
        story.go()
    except Killed:
        story.watchdog()
    assert story.go().state == _S.RETURNED
    assert world.spec == original


@pytest.mark.parametrize("state", [_S.RETURNING, _S.PROVING, _S.RETURNED])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_conductor_that_dies_on_the_way_back(
    shop: Shop, world: StepWorld, when: str, state: AttemptState
) -> None:
    original = copy.deepcopy(world.spec)
    story = begin(shop, world)
    live = story.to(_S.JUDGING)
    turn_round(actor=shop.cast.erik, attempt=live)
    world.rows.die_at = (when, state)
    with pytest.raises(Killed):
        story.go()
    if Attempt.objects.live().filter(pk=live.pk).exists():
        story.watchdog()
        story.go()
    live.refresh_from_db()
    assert live.state == _S.RETURNED
    assert world.spec == original


def test_without_a_database_it_goes_back_first(shop: Shop, world: StepWorld) -> None:
    story = begin(shop, world)
    story.to(_S.JUDGING)
    world.rows.away = True
    assert story.conductor is not None
    story.conductor.advance()
    assert world.percent == 0
    world.rows.away = False
    ended = story.go()
    assert ended.state == _S.RETURNED
    assert "lost its database" in ended.reason


def test_a_stale_conductor_changes_nothing(shop: Shop, world: StepWorld) -> None:
    story = begin(shop, world)
    story.go(lambda a: a.state == _S.CHANGING)
    stale = story.conductor
    story.watchdog()
    assert stale is not None
    assert stale.advance() is None
    assert world.percent == 0
    assert story.go().state == _S.RETURNED


def test_another_worker_never_goes_on_with_what_exposes_users(shop: Shop, world: StepWorld) -> None:
    story = begin(shop, world)
    live = story.to(_S.JUDGING)
    story.watchdog()
    fence = story._fence
    story.conductor = Conductor(live.pk, fence, world.world(live.pk))
    assert story.go().state == _S.RETURNED


def test_a_worker_that_is_told_to_stop_goes_back(shop: Shop, world: StepWorld) -> None:
    story = begin(shop, world)
    story.to(_S.JUDGING)
    assert story.conductor is not None
    story.conductor.stop("The worker was told to stop.")
    assert story.go().state == _S.RETURNED
    assert world.percent == 0


def test_less_for_kubernetes_exposes_nobody(shop: Shop, world: StepWorld) -> None:
    world.per_s = 100
    other_weights(world, 30)
    live = begin(shop, world, 1).to(_S.JUDGING)
    assert not live.exposes
