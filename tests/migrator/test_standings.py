"""Where services stand: stage, health and what holds them, as the board tells it."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from core.models import EmergencyStop
from gamedays.choices import Severity
from gamedays.models import Finding
from migrator.choices import (
    AttemptState,
    Direction,
    Health,
    Reversibility,
    Standing,
    StepState,
)
from migrator.models import (
    Attempt,
    FreezeWindow,
    Hold,
    RopeCheck,
    Service,
    ServiceStanding,
    StandingMark,
    StepRehearsal,
    Wave,
    WaveService,
)
from migrator.operations.dependencies import add_dependency
from migrator.operations.overrides import declare_freeze, lift_freeze
from migrator.operations.plans import archive_plan
from migrator.operations.standings import refresh_services, refresh_standings
from migrator.selectors.overview import board
from migrator.selectors.services import Wanted
from tests.migrator.conftest import Make
from tests.migrator.people import Shop, make_attempt, make_shop, production_cluster
from tests.people import Cast
from tests.ui import factories

pytestmark = pytest.mark.django_db


def seen(service: Service) -> ServiceStanding:
    """As the clock would have it."""
    refresh_services([service.pk])
    return ServiceStanding.objects.get(service=service)


def codes(service: Service) -> set[str]:
    return set(Hold.objects.filter(service=service).values_list("code", flat=True))


def test_a_service_stands_somewhere_from_its_first_moment(make: Make) -> None:
    service = make("Orders")
    standing = ServiceStanding.objects.get(service=service)
    assert (standing.stage, standing.health) == (Standing.UNPLANNED, Health.NOT_PLANNED)
    standing = seen(service)
    assert standing.sentence == "It has no plan yet."
    assert (standing.clears, standing.link) == ("Plan its way", "/services/orders/plan/")


def test_the_stage_follows_the_steps_of_both_plans(shop: Shop, cast: Cast) -> None:
    assert seen(shop.service).stage == Standing.PLANNED
    now = timezone.now()
    shop.plan.steps.filter(position=1).update(state=StepState.DONE, state_since=now)
    standing = seen(shop.service)
    assert (standing.stage, standing.behind, standing.steps) == (Standing.ON_QA, 1, 4)
    assert standing.began_at == now
    shop.plan.steps.update(state=StepState.DONE, state_since=now)
    standing = seen(shop.service)
    assert standing.stage == Standing.PROVED
    assert standing.clears == "Plan its way"
    live = make_shop(cast, 1, 10, cluster=production_cluster(cast))
    assert seen(shop.service).stage == Standing.PROVED, "a plan for production that is not begun"
    live.plan.steps.filter(position=1).update(state=StepState.DONE, state_since=now)
    standing = seen(shop.service)
    assert standing.stage == Standing.ON_PRODUCTION
    assert standing.plan_id == live.plan.pk
    live.plan.steps.filter(position=2).update(
        state=StepState.SKIPPED, skip_reason="no need", state_since=now
    )
    standing = seen(shop.service)
    assert (standing.stage, standing.health) == (Standing.ARRIVED, Health.ON_TRACK)
    assert standing.arrived_at == now
    assert standing.step_id is None


def test_on_track_when_nothing_holds_the_next_step(shop: Shop) -> None:
    standing = seen(shop.service)
    assert standing.health == Health.ON_TRACK
    assert standing.sentence == "Next is “To 1%”, and nothing holds it."
    assert not codes(shop.service)


def test_blocked_by_every_reason_that_a_gate_tells(shop: Shop, cast: Cast) -> None:
    StepRehearsal.objects.all().delete()
    RopeCheck.objects.create(
        plan=shop.plan, at=timezone.now(), within_reach=False, lines=[{"sentence": "no answer."}]
    )
    factories.make_finding(cast, factories.make_run(cast), severity=Severity.HIGH)
    standing = seen(shop.service)
    assert standing.health == Health.BLOCKED
    assert "has not been rehearsed" in standing.sentence
    assert standing.sentence.endswith("And 2 more.")
    assert standing.link == f"/plans/{shop.plan.pk}/#step-{shop.step(1).pk}"
    assert codes(shop.service) == {"unrehearsed", "not_within_reach", "blocking_finding"}
    assert standing.look_again_at < timezone.now() + dt.timedelta(minutes=6), "somebody waits"


def test_an_emergency_stop_is_told_at_once_and_kept_in_no_row(shop: Shop, cast: Cast) -> None:
    stop = EmergencyStop.objects.create(set_by=cast.vera)
    assert seen(shop.service).health == Health.ON_TRACK
    assert board(cast.lea, Wanted()).total.blocked == 1
    EmergencyStop.objects.filter(pk=stop.pk).update(
        released_by=cast.lea, released_at=timezone.now(), release_reason="over"
    )
    assert board(cast.lea, Wanted()).total.on_track == 1


def test_a_step_that_went_back_is_told_until_it_is_tried_again(shop: Shop, cast: Cast) -> None:
    attempt = make_attempt(shop)
    assert seen(shop.service).health == Health.ON_TRACK
    assert "is under way. 12 requests" in seen(shop.service).sentence
    Attempt.objects.filter(pk=attempt.pk).update(
        state=AttemptState.RETURNED, ended_at=timezone.now(), reason="Too many errors."
    )
    standing = seen(shop.service)
    assert standing.health == Health.ROLLED_BACK
    assert standing.sentence == "“To 1%” went back. Too many errors."
    assert standing.link == f"/attempts/{attempt.pk}/"
    assert standing.step_id == shop.step(1).pk
    make_attempt(shop)
    assert seen(shop.service).health == Health.ON_TRACK


def test_a_step_that_was_rolled_back(shop: Shop) -> None:
    now = timezone.now()
    shop.plan.steps.filter(position=1).update(state=StepState.ROLLED_BACK, state_since=now)
    standing = seen(shop.service)
    assert standing.health == Health.ROLLED_BACK
    assert standing.sentence.startswith("“To 1%” was rolled back on ")
    assert standing.stage == Standing.ON_QA


@pytest.mark.parametrize(
    ("state", "health", "code"),
    [
        (AttemptState.STUCK, Health.BLOCKED, "return_stuck"),
        (AttemptState.INTERRUPTED, Health.BLOCKED, "waits_for_person"),
        (AttemptState.RETURNING, Health.ROLLED_BACK, None),
        (AttemptState.CHANGING, Health.ON_TRACK, None),
    ],
)
def test_what_is_under_way(
    shop: Shop, state: AttemptState, health: Health, code: str | None
) -> None:
    attempt = make_attempt(shop)
    Attempt.objects.filter(pk=attempt.pk).update(state=state, reason="Look.")
    standing = seen(shop.service)
    assert standing.health == health
    assert standing.link == f"/attempts/{attempt.pk}/"
    assert codes(shop.service) == ({code} if code else set())


def test_a_rehearsal_that_goes_back_is_no_rollback(shop: Shop) -> None:
    attempt = make_attempt(shop)
    Attempt.objects.filter(pk=attempt.pk).update(
        state=AttemptState.RETURNING, direction=Direction.REHEARSAL
    )
    standing = seen(shop.service)
    assert standing.health == Health.ON_TRACK
    assert "is being rehearsed" in standing.sentence
    Attempt.objects.filter(pk=attempt.pk).update(state=AttemptState.RETURNED)
    assert seen(shop.service).health == Health.ON_TRACK


def test_late_for_its_wave_and_late_in_a_step(shop: Shop, cast: Cast) -> None:
    today = timezone.now().date()
    wave = Wave.objects.create(
        name="First",
        team=cast.team,
        made_by=cast.lea,
        starts_on=today - dt.timedelta(days=9),
        ends_on=today + dt.timedelta(days=9),
    )
    WaveService.objects.create(service=shop.service, wave=wave, put_in_by=cast.lea)
    standing = seen(shop.service)
    assert standing.health == Health.LATE
    assert "was to start on" in standing.sentence
    shop.plan.steps.filter(position=1).update(state=StepState.DONE, state_since=timezone.now())
    assert seen(shop.service).health == Health.ON_TRACK
    Wave.objects.update(ends_on=today - dt.timedelta(days=1))
    standing = seen(shop.service)
    assert standing.health == Health.LATE
    assert standing.late_since == today
    assert "3 steps of its plans are ahead" in standing.sentence
    WaveService.objects.all().delete()
    attempt = make_attempt(shop)
    hours_ago = timezone.now() - dt.timedelta(hours=5)
    Attempt.objects.filter(pk=attempt.pk).update(asked_at=hours_ago)
    assert "has been under way for 5.0 h" in seen(shop.service).sentence


def test_what_is_worse_is_told_before_what_is_late(shop: Shop, cast: Cast) -> None:
    StepRehearsal.objects.all().delete()
    wave = Wave.objects.create(
        name="First", team=cast.team, made_by=cast.lea, starts_on="2026-01-01", ends_on="2026-01-02"
    )
    WaveService.objects.create(service=shop.service, wave=wave, put_in_by=cast.lea)
    standing = seen(shop.service)
    assert standing.health == Health.BLOCKED
    assert standing.late_since == dt.date(2026, 1, 3)


def test_every_verb_has_its_service_looked_at_again(shop: Shop, cast: Cast, make: Make) -> None:
    prices = make("Prices")

    def marked() -> set[int]:
        found = set(StandingMark.objects.values_list("service_id", flat=True))
        StandingMark.objects.all().delete()
        return found

    assert marked() == {shop.service.pk}
    add_dependency(actor=cast.erik, service=shop.service, needs=prices)
    assert marked() == {shop.service.pk}
    freeze = declare_freeze(
        actor=cast.lea,
        cluster=cast.cluster,
        starts_at=timezone.now() + dt.timedelta(hours=1),
        ends_at=timezone.now() + dt.timedelta(hours=2),
        why="A sale",
    )
    assert marked() == {shop.service.pk}
    assert seen(shop.service).look_again_at <= FreezeWindow.objects.get().starts_at
    lift_freeze(actor=cast.lea, freeze=freeze)
    assert marked() == {shop.service.pk}
    factories.make_finding(cast, factories.make_run(cast), service=prices)
    assert marked() == {prices.pk}
    Finding.objects.update(severity=Severity.HIGH)
    assert marked() == {prices.pk}
    archive_plan(actor=cast.lea, plan=shop.plan)
    assert marked() == {shop.service.pk}
    Service.objects.filter(pk=prices.pk).update(tier=1)
    assert marked() == {prices.pk}


def test_what_arrives_has_those_that_need_it_looked_at(shop: Shop, cast: Cast, make: Make) -> None:
    front = make("Front")
    add_dependency(actor=cast.erik, service=front, needs=shop.service)
    while refresh_standings(for_s=5):
        pass
    shop.plan.steps.update(state=StepState.DONE, state_since=timezone.now())
    refresh_services([shop.service.pk])
    assert list(StandingMark.objects.values_list("service_id", flat=True)) == [front.pk]
    assert refresh_standings() == 1
    assert not StandingMark.objects.exists()
    assert refresh_standings() == 0


def test_what_is_due_is_looked_at_without_a_mark(shop: Shop) -> None:
    while refresh_standings(for_s=5):
        pass
    ServiceStanding.objects.update(look_again_at=timezone.now() - dt.timedelta(seconds=1))
    StepRehearsal.objects.update(at=timezone.now() - dt.timedelta(days=90))
    assert refresh_standings() == 1
    standing = ServiceStanding.objects.get(service=shop.service)
    assert standing.health == Health.BLOCKED
    assert codes(shop.service) == {"rehearsal_stale"}


def test_a_service_that_is_gone_leaves_nothing_to_look_at(make: Make) -> None:
    service = make("Orders")
    Service.objects.filter(pk=service.pk).update(tier=1)
    service.delete()
    refresh_standings()
    assert not StandingMark.objects.exists()


def test_one_way_without_a_signature_is_a_hold(shop: Shop) -> None:
    shop.plan.steps.filter(position=1).update(
        reversibility=Reversibility.ONE_WAY, why_one_way="It is given back."
    )
    seen(shop.service)
    assert codes(shop.service) == {"not_signed_off"}


def test_the_history_of_a_wave_is_for_good(cast: Cast) -> None:
    wave = Wave.objects.create(
        name="First", team=cast.team, made_by=cast.lea, starts_on="2026-01-01", ends_on="2026-01-02"
    )
    change = wave.changes.create(verb="created", by=cast.lea)
    with pytest.raises(IntegrityError, match="never rewritten"), transaction.atomic():
        wave.changes.filter(pk=change.pk).update(verb="edited")
