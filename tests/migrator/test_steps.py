"""What people do to steps: who may, what is refused, and what the database decides."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from core.choices import SlotKind
from core.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from core.models import EmergencyStop, SlotClaim, User
from core.operations.emergency import record_stop
from core.operations.slots import take_slot
from migrator.choices import AttemptState, Direction, StepState
from migrator.execution import shell
from migrator.execution.leases import StepLeases
from migrator.models import Attempt, HistoryEntry, RollbackPlan, Step
from migrator.operations.due import wake_due_attempts
from migrator.operations.plan_editing import add_step, edit_step, move_step, remove_step
from migrator.operations.rehearsals import record_walk_through, rehearse_step
from migrator.operations.retreats import roll_back
from migrator.operations.steps import (
    continue_step,
    resolve_by_hand,
    sign_off_step,
    skip_step,
    start_step,
    take_skip_back,
    tick_item,
    turn_round,
)
from tests.migrator.people import Shop, make_shop, traffic_draft
from tests.migrator.world import FlakyRows, StepWorld, Story
from tests.people import make_cast

pytestmark = pytest.mark.django_db
_S = AttemptState


def verbs(shop: Shop) -> dict[str, Any]:
    step, plan = shop.step(1), shop.plan
    attempt = Attempt(step=step, plan=plan)
    return {
        "start": lambda who: start_step(actor=who, step=step),
        "rehearse": lambda who: rehearse_step(actor=who, step=step),
        "walk": lambda who: record_walk_through(
            actor=who, step=step, minutes=3, notes="we did", succeeded=True
        ),
        "add": lambda who: add_step(actor=who, plan=plan, draft=traffic_draft(shop.cast, 20)),
        "edit": lambda who: edit_step(
            actor=who, step=step, version=plan.version, draft=traffic_draft(shop.cast, 2)
        ),
        "move": lambda who: move_step(actor=who, step=step, version=plan.version, by=1),
        "remove": lambda who: remove_step(actor=who, step=step, version=plan.version),
        "back": lambda who: roll_back(actor=who, plan=plan, down_to=0),
        "sign": lambda who: sign_off_step(actor=who, step=step, reason="right"),
        "tick": lambda who: tick_item(actor=who, attempt=attempt, part="do", item=0),
        "continue": lambda who: continue_step(actor=who, attempt=attempt),
    }


LEADS: dict[str, Callable[[Shop, User], object]] = {
    "skip": lambda shop, who: skip_step(actor=who, step=shop.step(1), reason="not needed"),
    "unskip": lambda shop, who: take_skip_back(actor=who, step=shop.step(1)),
    "by hand": lambda shop, who: resolve_by_hand(
        actor=who, attempt=Attempt(step=shop.step(1), plan=shop.plan), reason="put right"
    ),
}


@pytest.mark.parametrize(
    "verb",
    ["start", "rehearse", "walk", "add", "edit", "move", "remove", "back", "sign", "tick",
     "continue"],
)  # fmt: skip
def test_viewers_and_outsiders_do_nothing(shop: Shop, verb: str) -> None:
    before = HistoryEntry.objects.count()
    with pytest.raises(NotAllowed):
        verbs(shop)[verb](shop.cast.vera)
    with pytest.raises(NotFound):
        verbs(shop)[verb](shop.cast.otto)
    assert HistoryEntry.objects.count() == before
    assert not Attempt.objects.exists()


@pytest.mark.parametrize("verb", LEADS)
def test_what_only_leads_do(shop: Shop, verb: str) -> None:
    for who, refusal in ((shop.cast.erik, NotAllowed), (shop.cast.otto, NotFound)):
        with pytest.raises(refusal):
            LEADS[verb](shop, who)


def test_only_the_next_step_starts(shop: Shop) -> None:
    with pytest.raises(Conflict) as told:
        start_step(actor=shop.cast.erik, step=shop.step(10))
    assert told.value.code == "step_not_next"
    assert "“To 1%” comes first" in told.value.message


def test_no_step_starts_without_its_way_back_whatever_the_code_above_believes(
    shop: Shop,
) -> None:
    step = shop.step(1)
    RollbackPlan.objects.filter(step=step).delete()
    with pytest.raises(Conflict) as told:
        start_step(actor=shop.cast.erik, step=step)
    assert told.value.code == "no_rollback_plan"
    with pytest.raises(IntegrityError, match="way back"), transaction.atomic():
        Attempt.objects.create(
            step=step,
            plan=step.plan,
            cluster=step.plan.cluster,
            direction=Direction.FORWARD,
            step_version=1,
            kind="traffic",
            due_at=timezone.now(),
            asked_by=shop.cast.erik,
        )


def test_what_was_written_down_before_is_for_good(shop: Shop, world: StepWorld) -> None:
    story = Story(start_step(actor=shop.cast.erik, step=shop.step(1)), world)
    live = story.to(_S.JUDGING)
    with pytest.raises(IntegrityError, match="written over"), transaction.atomic():
        Attempt.objects.filter(pk=live.pk).update(before={"percent": 50})
    other = Attempt.objects.filter(pk=live.pk)
    with pytest.raises(IntegrityError), transaction.atomic():
        other.update(before={}, state=_S.CHANGING)


def test_a_fault_and_a_step_exclude_each_other_on_qa(shop: Shop) -> None:
    claim = take_slot(cluster=shop.cast.cluster, kind=SlotKind.INJECTION, holder=shop_id())
    with pytest.raises(Conflict) as told:
        start_step(actor=shop.cast.erik, step=shop.step(1))
    assert told.value.code == "cluster_busy"
    assert not Attempt.objects.exists()
    SlotClaim.objects.filter(pk=claim.pk).update(released_at=timezone.now())
    start_step(actor=shop.cast.erik, step=shop.step(1))
    with pytest.raises(Conflict):
        take_slot(cluster=shop.cast.cluster, kind=SlotKind.INJECTION, holder=shop_id())


def shop_id() -> Any:
    return uuid.uuid4()


@pytest.mark.django_db(transaction=True)
def test_two_people_start_the_same_step_and_the_database_decides(
    transactional_db: None,
) -> None:
    cast = make_cast()
    shop = make_shop(cast, 1)
    together, came = threading.Barrier(2), []

    def start(who: User) -> None:
        try:
            together.wait(10)
            start_step(actor=who, step=Step.objects.get(pk=shop.step(1).pk))
            came.append("begun")
        except DomainError as error:
            came.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=start, args=(who,)) for who in (cast.lea, cast.erik)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(came) == ["begun", "step_running"]
    assert Attempt.objects.count() == 1


def test_an_emergency_stop_holds_what_was_begun_before_it_changes(
    shop: Shop, world: StepWorld
) -> None:
    story = Story(start_step(actor=shop.cast.erik, step=shop.step(1)), world)
    story.to(_S.PREPARING)
    record_stop(actor=shop.cast.vera, why="smoke")
    ended = story.go()
    assert ended.state == _S.REFUSED
    assert world.percent == 0


def test_row_48_an_emergency_stop_accepts_nothing_and_lets_everything_go_back(
    shop: Shop, world: StepWorld
) -> None:
    world.per_s = 200
    story = Story(start_step(actor=shop.cast.erik, step=shop.step(1)), world)
    live = story.to(_S.JUDGING)
    stop = record_stop(actor=shop.cast.vera, why="smoke")
    for _ in range(40):
        assert story.conductor is not None
        story.conductor.advance()
        world.forward(1.0)
    live.refresh_from_db()
    assert live.state == _S.JUDGING
    turn_round(actor=shop.cast.vera, attempt=live)
    assert story.go().state == _S.RETURNED
    EmergencyStop.objects.filter(pk=stop.pk).delete()


def test_skipping_and_taking_it_back(shop: Shop) -> None:
    with pytest.raises(Invalid):
        skip_step(actor=shop.cast.lea, step=shop.step(1), reason=" ")
    skip_step(actor=shop.cast.lea, step=shop.step(1), reason="Done long ago.")
    assert shop.step(1).state == StepState.SKIPPED
    with pytest.raises(Conflict):
        start_step(actor=shop.cast.erik, step=shop.step(1))
    take_skip_back(actor=shop.cast.lea, step=shop.step(1))
    start_step(actor=shop.cast.erik, step=shop.step(1))


def test_rolling_back_stops_visibly_at_the_first_that_fails(shop: Shop, world: StepWorld) -> None:
    world.per_s = 200
    for percent in (1, 10, 50):
        assert (
            Story(start_step(actor=shop.cast.erik, step=shop.step(percent)), world).go().state
            == _S.DONE
        )
    retreat = roll_back(actor=shop.cast.erik, plan=shop.plan, down_to=2, reason="slow")
    assert Story(Attempt.objects.live().get(), world).go().state == _S.RETURNED
    second = Attempt.objects.live().get()
    assert second.step.key == "to-10"
    spec = {**world.spec}
    for service in spec["routes"][0]["services"]:
        service["weight"] = 33 if service["name"] == "shop" else 67
    stuck = Story(second, world).to(_S.STUCK)
    assert "Somebody else" in stuck.reason
    with pytest.raises(Conflict, match="under way"):
        roll_back(actor=shop.cast.erik, plan=shop.plan, down_to=0)
    resolve_by_hand(actor=shop.cast.lea, attempt=stuck, reason="Set to 1 by hand.")
    retreat.refresh_from_db()
    assert retreat.ended_at is not None
    assert [s.state for s in shop.plan.steps.order_by("position")] == [
        StepState.DONE,
        StepState.ROLLED_BACK,
        StepState.ROLLED_BACK,
        StepState.WAITING,
    ]


def test_there_is_nothing_to_roll_back(shop: Shop) -> None:
    with pytest.raises(Conflict) as told:
        roll_back(actor=shop.cast.erik, plan=shop.plan, down_to=0)
    assert told.value.code == "nothing_to_roll_back"


def test_what_is_due_is_asked_for_and_what_somebody_holds_is_not(shop: Shop) -> None:
    attempt = start_step(actor=shop.cast.erik, step=shop.step(1))
    assert wake_due_attempts() == 1
    assert shell.claim(attempt.pk) == 1
    assert shell.claim(attempt.pk) is None, "however many messages"
    assert wake_due_attempts() == 0
    [row] = StepLeases().rows()
    assert StepLeases().take_over(row) == 2
    assert StepLeases().take_over(row) is None, "somebody was quicker"


def test_every_verb_is_in_the_history(shop: Shop) -> None:
    attempt = start_step(actor=shop.cast.erik, step=shop.step(1))
    turn_round(actor=shop.cast.vera, attempt=attempt)
    told = list(shop.plan.history.order_by("pk").values_list("actor__username", "text"))
    assert told[0][0] == "lea"
    assert ("erik", "erik started “To 1%”.") in told
    assert ("vera", "vera asked to go back.") in told


def test_rows_of_the_engine_can_go_away(shop: Shop) -> None:
    rows = FlakyRows()
    rows.away = True
    with pytest.raises(Exception, match="away"):
        rows.read(shop_id(), 1)
