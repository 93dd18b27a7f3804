"""What is refused although somebody asks in an unusual way."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from django.db import transaction
from django.utils import timezone

from core.errors import Conflict, Invalid, NotAllowed
from core.models import Cluster
from migrator.choices import AttemptState, Direction, StepState
from migrator.gates import reasons
from migrator.models import Retreat, RopeCheck, Service, StepRehearsal
from migrator.operations.attempts import begin
from migrator.operations.plan_editing import add_step, edit_step
from migrator.operations.plans import archive_plan, create_plan
from migrator.operations.rehearsals import rehearse_step
from migrator.operations.retreats import roll_back
from migrator.operations.steps import skip_step, start_step, turn_round
from tests.migrator.conftest import As
from tests.migrator.people import Shop, make_shop, production_cluster, traffic_draft
from tests.migrator.world import StepWorld, Story
from tests.people import Cast

pytestmark = pytest.mark.django_db


def test_two_plans_do_not_move_one_route_at_once(cast: Cast) -> None:
    """On production no slot keeps them apart."""
    live = production_cluster(cast)
    shop = make_shop(cast, 1, cluster=live)
    other = Service.objects.create(slug="till", name="Till", team=cast.team)
    plan = create_plan(actor=cast.lea, service=other, cluster=live, template=None)
    theirs = add_step(actor=cast.lea, plan=plan, draft=traffic_draft(cast, 10))
    elsewhere = add_step(actor=cast.lea, plan=plan, draft=traffic_draft(cast, 20, namespace="till"))
    begin(shop.step(1), direction=Direction.FORWARD, actor=cast.erik, text="begun")
    with pytest.raises(Conflict) as told, transaction.atomic():
        begin(theirs, direction=Direction.FORWARD, actor=cast.erik, text="begun")
    assert told.value.code == "route_busy"
    begin(elsewhere, direction=Direction.FORWARD, actor=cast.erik, text="begun")


def test_a_viewer_archives_no_plan_of_a_cluster_that_is_gone(shop: Shop) -> None:
    Cluster.objects.filter(pk=shop.plan.cluster_id).update(retired_at=timezone.now())
    shop.plan.refresh_from_db()
    with pytest.raises(NotAllowed):
        archive_plan(actor=shop.cast.vera, plan=shop.plan)
    assert archive_plan(actor=shop.cast.lea, plan=shop.plan).archived_at is not None


def test_a_step_that_is_under_way_is_not_skipped(shop: Shop) -> None:
    start_step(actor=shop.cast.erik, step=shop.step(1))
    with pytest.raises(Conflict) as told:
        skip_step(actor=shop.cast.lea, step=shop.step(1), reason="not needed")
    assert told.value.code == "step_running"
    assert shop.step(1).state == StepState.WAITING


def test_another_check_of_the_way_back_was_not_rehearsed(shop: Shop) -> None:
    draft = traffic_draft(shop.cast, 1)
    assert draft.rollback is not None
    for question in ("The books agree?", "Nobody complains?"):
        shop.plan.refresh_from_db()
        step = shop.step(1)
        back = replace(
            draft.rollback, check_kind="confirm", check_parameters={"question": question}
        )
        changed = edit_step(
            actor=shop.cast.lea,
            step=step,
            version=shop.plan.version,
            draft=replace(draft, rollback=back),
        )
        assert changed.version == step.version + 1


@pytest.mark.parametrize("typed", [{}, {"down_to": ""}, {"down_to": "-1"}, {"down_to": "10000"}])
def test_nothing_typed_does_not_mean_all_of_it(
    shop: Shop, client_of: As, typed: dict[str, str]
) -> None:
    shop.plan.steps.filter(position__lte=2).update(state=StepState.DONE)
    client_of("erik").post(f"/plans/{shop.plan.pk}/back/", typed)
    assert not Retreat.objects.exists()
    with pytest.raises(Invalid):
        roll_back(actor=shop.cast.erik, plan=shop.plan, down_to=-1)


def test_a_version_without_end_is_no_number(shop: Shop, client_of: As) -> None:
    answer = client_of("erik").post(f"/steps/{shop.step(1).pk}/edit/", {"version": "9" * 5000})
    assert answer.status_code == 422


def test_a_name_proves_no_rehearsal(shop: Shop, world: StepWorld) -> None:
    vera = shop.cast.vera
    vera.first_name = "Done and checked"
    vera.save(update_fields=["first_name"])
    story = Story(rehearse_step(actor=shop.cast.erik, step=shop.step(1)), world)
    turn_round(actor=vera, attempt=story.to(AttemptState.JUDGING))
    assert story.go().state == AttemptState.RETURNED
    assert not StepRehearsal.objects.get(attempt=story.attempt).succeeded


def test_a_rope_that_nobody_looks_at_any_more_is_not_assumed(shop: Shop) -> None:
    long_ago = timezone.now() - dt.timedelta(hours=30)
    RopeCheck.objects.create(plan=shop.plan, at=long_ago, within_reach=True)
    [reason] = reasons(shop.step(1))
    assert reason.code == "reach_unknown"
    assert "30 hours ago" in reason.sentence
