"""What the inventory says before a step: what the service needs, and what legacy can carry."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from migrator.choices import StepState, Tier
from migrator.gates import reasons
from migrator.models import Dependency, RehearsalPolicy, RopeCheck, Service, Step
from migrator.operations.dependencies import add_dependency
from migrator.operations.drafts import RollbackDraft, StepDraft
from migrator.operations.overrides import sign_override
from migrator.operations.plan_editing import add_step
from migrator.operations.plans import create_plan
from migrator.operations.services import confirm_capacity
from migrator.selectors.plans import plan_view
from tests.migrator.people import Shop, production_cluster, traffic_draft
from tests.migrator.test_gates import codes, refused

pytestmark = pytest.mark.django_db


def needs(shop: Shop, name: str, **given: object) -> Service:
    """A service that the shop needs, with a legacy half of its own."""
    given = {"team": shop.cast.team, "legacy_address": "http://10.0.0.8:80", **given}
    made = Service.objects.create(name=name, slug=name.lower(), **given)
    Dependency.objects.create(service=shop.service, needs=made)
    return made


def planned(shop: Shop, service: Service, *percents: int) -> list[Step]:
    plan = create_plan(
        actor=shop.cast.lea, service=service, cluster=shop.cast.cluster, template=None
    )
    return [
        add_step(actor=shop.cast.lea, plan=plan, draft=traffic_draft(shop.cast, percent))
        for percent in percents
    ]


def test_a_dependency_without_a_plan_holds_until_it_is_there(shop: Shop) -> None:
    prices = needs(shop, "Prices")
    [reason] = reasons(shop.step(1))
    assert reason.sentence == "Prices, which Shop needs, is not there yet: it has no plan for QA."
    assert (reason.clears, reason.link) == ("Plan its way", "/services/prices/plan/")
    assert refused(shop, shop.step(1)) == "dependency_not_there"
    half, whole = planned(shop, prices, 50, 100)
    Step.objects.filter(pk=half.pk).update(state=StepState.DONE)
    [reason] = reasons(shop.step(1))
    assert reason.sentence.endswith("is not there yet: 1 of 2 steps are done.")
    assert (reason.clears, reason.link) == ("Open its plan", f"/plans/{half.plan_id}/")
    Step.objects.filter(pk=whole.pk).update(state=StepState.SKIPPED, skip_reason="Not needed.")
    assert codes(shop.step(1)) == []
    Step.objects.filter(pk=whole.pk).update(state=StepState.ROLLED_BACK)
    assert codes(shop.step(1)) == ["dependency_not_there"]


def test_a_plan_without_a_step_is_no_arrival(shop: Shop) -> None:
    planned(shop, needs(shop, "Prices"))
    assert codes(shop.step(1)) == ["dependency_not_there"]


def test_what_only_waits_or_takes_legacy_away_may_be_ahead_of_who_is_there(shop: Shop) -> None:
    [whole] = planned(shop, needs(shop, "Prices"), 100)
    add_step(
        actor=shop.cast.lea,
        plan=whole.plan,
        draft=StepDraft(
            title="Soak",
            kind="observe",
            parameters={"soak_s": "60", "wait_s": "60"},
            rollback=RollbackDraft(owner=shop.cast.erik),
        ),
    )
    Step.objects.filter(pk=whole.pk).update(state=StepState.DONE)
    assert codes(shop.step(1)) == []


def test_who_never_had_a_legacy_half_is_there(shop: Shop) -> None:
    needs(
        shop,
        "Prices",
        legacy_address="",
        namespace="shop",
        workload_kind="Deployment",
        workload="prices",
    )
    assert codes(shop.step(1)) == []


def test_what_another_team_keeps_is_named_and_not_linked(shop: Shop) -> None:
    theirs = shop.cast.otto.teams.get()
    needs(shop, "Search", team=theirs)
    [reason] = reasons(shop.step(1))
    assert "Search" in reason.sentence
    assert reason.link == "/services/shop/#dependencies"


def test_two_that_need_each_other_are_told_and_one_is_let_go_first(shop: Shop) -> None:
    prices = needs(shop, "Prices")
    add_dependency(actor=shop.cast.erik, service=prices, needs=shop.service)
    [reason] = reasons(shop.step(1))
    assert "They need each other: one of them has to go first." in reason.sentence
    sign_override(
        actor=shop.cast.lea,
        step=shop.step(1),
        code="dependency_not_there",
        subject=str(prices.pk),
        reason="The shop goes first.",
        hours=4,
    )
    assert codes(shop.step(1)) == []


def test_what_changes_nothing_needs_nothing(shop: Shop) -> None:
    needs(shop, "Prices")
    soak = add_step(
        actor=shop.cast.lea,
        plan=shop.plan,
        draft=StepDraft(
            title="Soak",
            kind="observe",
            parameters={"soak_s": "60", "wait_s": "60"},
            rollback=RollbackDraft(owner=shop.cast.erik),
        ),
    )
    assert codes(soak) == []


def test_a_dependency_is_looked_for_at_the_same_stage(shop: Shop) -> None:
    [whole] = planned(shop, needs(shop, "Prices"), 100)
    Step.objects.filter(pk=whole.pk).update(state=StepState.DONE)
    there = production_cluster(shop.cast)
    live = create_plan(actor=shop.cast.lea, service=shop.service, cluster=there, template=None)
    step = add_step(actor=shop.cast.lea, plan=live, draft=traffic_draft(shop.cast, 1))
    assert "dependency_not_there" in codes(step)
    assert "dependency_not_there" not in codes(shop.step(1))


def test_more_dependencies_are_no_more_queries(shop: Shop) -> None:
    def count() -> int:
        step = Step.objects.select_related("plan__service", "plan__cluster").get(
            plan=shop.plan, key="to-1"
        )
        with CaptureQueriesContext(connection) as asked:
            assert reasons(step)
        return len(asked)

    planned(shop, needs(shop, "Prices"), 50)
    few = count()
    for number in range(4):
        planned(shop, needs(shop, f"Other {number}".replace(" ", "-")), 50)
    assert count() == few


# -- what legacy can carry ------------------------------------------------------------------------


def test_a_capacity_that_nobody_vouches_for_holds_until_somebody_does(shop: Shop) -> None:
    Service.objects.update(capacity_confirmed_by=None, capacity_confirmed_at=None)
    [reason] = reasons(shop.step(1))
    assert reason.code == "capacity_unconfirmed"
    assert "nobody confirmed that legacy can carry 200 requests/s" in reason.sentence
    assert reason.link == "/services/shop/#legacy-title"
    RopeCheck.objects.create(plan=shop.plan, at=timezone.now(), within_reach=True)
    rope = plan_view(fresh(shop).plan).rope
    assert rope.mark == "not_within_reach"
    assert rope.sentence.startswith("Not within reach: nobody confirmed")
    service = Service.objects.get(pk=shop.service.pk)
    confirm_capacity(actor=shop.cast.erik, service=service, version=service.version)
    assert codes(fresh(shop).step(1)) == []
    rope = plan_view(fresh(shop).plan).rope
    assert rope.mark == "within_reach"
    assert rope.lines[-1] == {
        "name": "capacity",
        "passed": True,
        "sentence": "legacy can carry 200 requests/s, as a person confirmed.",
    }


def test_a_persons_word_counts_for_as_long_as_the_policy_of_the_tier_says(shop: Shop) -> None:
    Service.objects.update(
        tier=Tier.ONE, capacity_confirmed_at=timezone.now() - dt.timedelta(days=40)
    )
    assert codes(fresh(shop).step(1)) == []
    strict = RehearsalPolicy.objects.create(tier=Tier.ONE, capacity_days=30, walked_through=True)
    [reason] = reasons(fresh(shop).step(1))
    assert reason.code == "capacity_unconfirmed"
    assert "was last confirmed 40 days ago; after 30 days" in reason.sentence
    RehearsalPolicy.objects.filter(pk=strict.pk).update(tier=Tier.TWO)
    assert codes(fresh(shop).step(1)) == [], "another tier's policy is not theirs"


def test_legacy_without_a_declared_capacity_is_no_end_of_a_rope(shop: Shop) -> None:
    Service.objects.update(
        capacity_confirmed_by=None,
        capacity_confirmed_at=None,
        legacy_capacity=None,
        legacy_capacity_unit="",
    )
    assert codes(fresh(shop).step(1)) == ["capacity_unconfirmed"]
    Service.objects.update(legacy_address="")
    assert codes(fresh(shop).step(1)) == [], "there is no legacy half"


def fresh(shop: Shop) -> Shop:
    """The same rows, read again."""
    plan = type(shop.plan).objects.get(pk=shop.plan.pk)
    return Shop(cast=shop.cast, service=plan.service, plan=plan)
