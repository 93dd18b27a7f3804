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
from migrator.models import Attempt, HistoryEntry, Plan, RollbackPlan, Step, StepLease
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
from migrator.runners.scale import Scale
from tests.migrator.people import Shop, make_shop, rehearse, traffic_draft
from tests.migrator.world import FlakyRows, Killed, StepWorld, Story, Trouble
from tests.people import Cast, make_cast

pytestmark = pytest.mark.django_db
_S = AttemptState
SCALE = {"kind": "Deployment", "namespace": "shop", "name": "shop", "replicas": 3, "ready_s": 60}
LIST = {"items": "stop writes\nsee it equal", "back_items": "allow writes"}


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


# -- rehearsals -----------------------------------------------------------------------------------


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


# -- kinds without a lease ------------------------------------------------------------------------


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
