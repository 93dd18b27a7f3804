"""Plans and templates: making, cloning, changing; and the rope."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from core.choices import Stage
from core.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from migrator.choices import Reversibility, StepState
from migrator.execution import rope
from migrator.models import HistoryEntry, Plan, PlanTemplate, RopeCheck, Service, TemplateVersion
from migrator.operations import ropes
from migrator.operations.drafts import RollbackDraft, StepDraft
from migrator.operations.overrides import name_envoys
from migrator.operations.plan_editing import add_step, edit_step, move_step, remove_step
from migrator.operations.plans import archive_plan, clone_plan, create_plan
from migrator.operations.templates import archive_template, create_template, save_template
from migrator.runners.base import Hands
from migrator.selectors.plans import plan_view
from tests.migrator.people import TRAFFIC, Shop, make_shop, production_cluster, traffic_draft
from tests.migrator.world import FakeApi, FakeAsks, FakeEnvoys, proxy
from tests.object_store import ObjectStore
from tests.people import Cast, make_cluster

pytestmark = pytest.mark.django_db
LEGACY = "http://10.0.0.9:8080"


@pytest.mark.parametrize(
    ("slug", "keys"),
    [
        (
            "stateless-http",
            ["deploy", "healthy", "to-1", "to-10", "to-50", "to-100", "soak", "decommission"],
        ),
        ("worker", ["deploy", "one", "healthy", "stop-legacy", "soak"]),
        ("stateful-manual", ["copy", "switch", "soak"]),
    ],
)
def test_a_template_that_comes_with_belay_becomes_a_plan(
    cast: Cast, slug: str, keys: list[str]
) -> None:
    service = Service.objects.create(
        name="Orders",
        slug="orders",
        team=cast.team,
        namespace="shop",
        workload_kind="Deployment",
        workload="orders",
    )
    version = TemplateVersion.objects.get(template__slug=slug)
    plan = create_plan(actor=cast.lea, service=service, cluster=cast.cluster, template=version)
    steps = list(plan.steps.order_by("position"))
    assert [step.key for step in steps] == keys
    for step in steps:
        one_way = step.reversibility == Reversibility.ONE_WAY
        assert one_way != hasattr(step, "rollback")
        if step.kind == "traffic":
            assert step.parameters["legacy_service"] == "orders-legacy"
            assert step.parameters["namespace"] == "shop"
    assert [entry.actor for entry in plan.history.all()] == [cast.lea]


def test_one_plan_for_each_stage(cast: Cast) -> None:
    shop = make_shop(cast, 1)
    with pytest.raises(Conflict) as told:
        create_plan(actor=cast.lea, service=shop.service, cluster=cast.cluster, template=None)
    assert told.value.code == "plan_exists"
    archive_plan(actor=cast.lea, plan=shop.plan)
    create_plan(actor=cast.lea, service=shop.service, cluster=cast.cluster, template=None)


def test_a_plans_stage_is_its_clusters_whatever_the_code_believes(cast: Cast) -> None:
    shop = make_shop(cast)
    with pytest.raises(IntegrityError, match="plan_stage_is_its_clusters"), transaction.atomic():
        Plan.objects.filter(pk=shop.plan.pk).update(stage=Stage.PRODUCTION)


def test_who_makes_plans(cast: Cast) -> None:
    service = Service.objects.create(name="Orders", slug="orders", team=cast.team)
    for who, refusal in ((cast.erik, NotAllowed), (cast.vera, NotAllowed), (cast.otto, NotFound)):
        with pytest.raises(refusal):
            create_plan(actor=who, service=service, cluster=cast.cluster, template=None)
    elsewhere = make_cluster(cast.otto.teams.get(), name="qa-search")
    with pytest.raises(NotFound, match="cluster"):
        create_plan(actor=cast.lea, service=service, cluster=elsewhere, template=None)


def test_a_clone_takes_the_steps_and_nothing_that_was_proved(shop: Shop) -> None:
    there = production_cluster(shop.cast)
    made = clone_plan(actor=shop.cast.lea, plan=shop.plan, service=shop.service, cluster=there)
    assert made.stage == Stage.PRODUCTION
    assert [s.key for s in made.steps.order_by("position")] == [
        "to-1", "to-10", "to-50", "to-100",
    ]  # fmt: skip
    assert all(step.rollback.owner == shop.cast.lea for step in made.steps.all())
    assert not made.steps.filter(rehearsals__isnull=False).exists()
    other = Service.objects.create(
        name="Orders",
        slug="orders",
        team=shop.cast.team,
        namespace="orders",
        workload_kind="Deployment",
        workload="orders",
    )
    theirs = clone_plan(
        actor=shop.cast.lea, plan=shop.plan, service=other, cluster=shop.cast.cluster
    )
    first = theirs.steps.order_by("position")[0]
    assert first.parameters["namespace"] == "orders"
    assert first.parameters["legacy_service"] == "orders-legacy"


def test_every_wrong_value_of_a_step_is_named_at_once(cast: Cast) -> None:
    shop = make_shop(cast)
    draft = StepDraft(
        title=" ",
        kind="traffic",
        parameters={**TRAFFIC, "percent": 101, "route": "No Name"},
        check_kind="http",
        expected_s="soon",
        rollback=RollbackDraft(owner=None),
    )
    with pytest.raises(Invalid) as told:
        add_step(actor=cast.lea, plan=shop.plan, draft=draft)
    assert set(told.value.errors) == {
        "title",
        "parameters.percent",
        "parameters.route",
        "check.url",
        "expected_s",
        "back_owner",
    }
    with pytest.raises(Invalid) as told:
        add_step(actor=cast.lea, plan=shop.plan, draft=StepDraft(title="x", kind="nothing"))
    assert {"parameters.kind", "kind"} & set(told.value.errors)
    assert "back_kind" in told.value.errors, "no step without a way back"


def test_reordering_and_removing(shop: Shop) -> None:
    def keys() -> list[str]:
        return [s.key for s in shop.plan.steps.order_by("position")]

    def version() -> int:
        return Plan.objects.get(pk=shop.plan.pk).version

    move_step(actor=shop.cast.erik, step=shop.step(10), version=version(), by=-1)
    assert keys() == ["to-10", "to-1", "to-50", "to-100"]
    with pytest.raises(Conflict) as told:
        move_step(actor=shop.cast.erik, step=shop.step(10), version=1, by=1)
    assert told.value.code == "edited_meanwhile"
    with pytest.raises(Conflict) as told:
        move_step(actor=shop.cast.erik, step=shop.step(10), version=version(), by=-1)
    assert told.value.code == "no_place"
    remove_step(actor=shop.cast.erik, step=shop.step(1), version=version())
    assert keys() == ["to-10", "to-50", "to-100"]
    assert [s.position for s in shop.plan.steps.order_by("position")] == [1, 2, 3]
    shop.plan.steps.filter(key="to-10").update(state=StepState.DONE)
    for verb in (
        lambda: move_step(actor=shop.cast.erik, step=shop.step(10), version=version(), by=1),
        lambda: remove_step(actor=shop.cast.erik, step=shop.step(10), version=version()),
        lambda: edit_step(
            actor=shop.cast.erik,
            step=shop.step(10),
            version=version(),
            draft=traffic_draft(shop.cast, 10),
        ),
    ):
        with pytest.raises(Conflict) as told:
            verb()
        assert told.value.code == "step_begun"


# -- templates ------------------------------------------------------------------------------------


def test_a_template_is_versioned_and_a_version_is_for_good(cast: Cast) -> None:
    made = create_template(actor=cast.lea, title="Ours")
    draft = traffic_draft(cast, 5)
    with pytest.raises(NotAllowed):
        create_template(actor=cast.erik, title="Mine")
    second = save_template(
        actor=cast.otto, template=made, version=1, title="Ours", description="", steps=[draft]
    )
    assert (second.number, len(second.steps)) == (2, 1)
    with pytest.raises(Conflict) as told:
        save_template(
            actor=cast.lea, template=made, version=1, title="Ours", description="", steps=[]
        )
    assert told.value.code == "edited_meanwhile"
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        TemplateVersion.objects.filter(pk=second.pk).update(steps=[])
    archive_template(actor=cast.lea, template=made, archived=True)
    assert PlanTemplate.objects.get(pk=made.pk).archived_at is not None


def test_a_template_whose_steps_could_be_no_plan_is_refused(cast: Cast) -> None:
    made = create_template(actor=cast.lea, title="Ours")
    with pytest.raises(Invalid) as told:
        save_template(
            actor=cast.lea,
            template=made,
            version=1,
            title="Ours",
            description="",
            steps=[traffic_draft(cast, 5), traffic_draft(cast, 500)],
        )
    assert set(told.value.errors) == {"1.parameters.percent"}


def test_a_template_that_does_not_fit_a_service_says_which_step(cast: Cast) -> None:
    service = Service.objects.create(
        name="X",
        slug="x",
        team=cast.team,
        namespace="x",
        workload_kind="Deployment",
        workload="x" * 250,
    )
    version = TemplateVersion.objects.get(template__slug="stateless-http")
    with pytest.raises(Invalid, match="Step 3 of the template"):
        create_plan(actor=cast.lea, service=service, cluster=cast.cluster, template=version)
    assert not Plan.objects.filter(service=service).exists()


# -- the rope -------------------------------------------------------------------------------------


def hands(store: ObjectStore, asks: FakeAsks) -> Hands:
    class Ticks:
        def ticked(self, part: str) -> frozenset[int]:
            return frozenset()

    return Hands(api=FakeApi(store), envoys=FakeEnvoys(), asks=asks, ticks=Ticks())


def check(shop: Shop) -> RopeCheck:
    seen = ropes.check_rope(actor=shop.cast.vera, plan=shop.plan)
    assert seen is not None
    return seen


def test_a_process_without_the_key_of_production_asks_a_worker(
    monkeypatch: pytest.MonkeyPatch, shop: Shop
) -> None:
    def no_key(*_: object) -> None:
        raise DomainError("not here", code="credential_key_missing")

    asked: list[tuple[int, int]] = []
    monkeypatch.setattr("core.kube.credentials_of", no_key)
    monkeypatch.setattr(ropes, "send_check_rope", lambda *keys: asked.append(keys))
    assert ropes.check_rope(actor=shop.cast.vera, plan=shop.plan) is None
    assert asked == [(shop.plan.pk, shop.cast.vera.pk)]
    assert not RopeCheck.objects.exists(), "what nobody looked at is not written down"


def test_the_rope_is_looked_at(monkeypatch: pytest.MonkeyPatch, shop: Shop) -> None:
    store, asks = ObjectStore(), FakeAsks()
    path = "/apis/projectcontour.io/v1/namespaces/shop/httpproxies/shop"
    store.put(path, proxy())
    asks.answers[LEGACY] = 200
    monkeypatch.setattr(ropes, "hands_for", lambda *_: hands(store, asks))
    assert check(shop).within_reach is True
    with pytest.raises(NotFound):
        ropes.check_rope(actor=shop.cast.otto, plan=shop.plan)
    asks.answers.clear()
    lost = check(shop)
    assert lost.within_reach is False
    assert lost.why.startswith("legacy did not answer")
    assert plan_view(shop.plan).rope.sentence.startswith("Not within reach: legacy did not")
    asks.answers[LEGACY] = 200
    store.put(path, {"spec": {"routes": [{"services": [{"name": "shop", "port": 80}]}]}})
    gone = check(shop)
    assert gone.within_reach is False
    assert "does not name shop-legacy and shop any more" in gone.why
    told = HistoryEntry.objects.filter(text__startswith="The rope was checked")
    assert told.count() == 2, "only what changed is told"


def test_an_api_that_is_away_leaves_it_unknown(shop: Shop) -> None:
    store, asks = ObjectStore(), FakeAsks()
    asks.answers[LEGACY] = 200
    away = hands(store, asks)
    away.api.away = True  # type: ignore[attr-defined]  # the fake's own
    lines = rope.look(legacy_address=LEGACY, routes=[TRAFFIC], hands=away)
    assert rope.verdict(lines) is None


def test_one_plan_that_cannot_be_looked_at_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, shop: Shop
) -> None:
    other = Service.objects.create(name="Orders", slug="orders", team=shop.plan.service.team)
    create_plan(actor=shop.cast.lea, service=other, cluster=shop.plan.cluster, template=None)
    store, asks = ObjectStore(), FakeAsks()
    looked: list[object] = []

    def hands_for(*_: object) -> Hands:
        looked.append(_)
        if len(looked) == 1:
            raise RuntimeError("nobody thought of this")
        return hands(store, asks)

    monkeypatch.setattr(ropes, "hands_for", hands_for)
    ropes.check_all_ropes()
    assert len(looked) == 2
    assert RopeCheck.objects.count() == 1


def test_the_rope_in_words(shop: Shop) -> None:
    RopeCheck.objects.create(plan=shop.plan, at=timezone.now(), within_reach=True)
    view = plan_view(shop.plan)
    assert view.rope.sentence == "Nothing was moved yet: this is the original state."
    shop.plan.steps.filter(key__in=["to-1", "to-10"]).update(
        state=StepState.DONE, state_since=timezone.now()
    )
    view = plan_view(shop.plan)
    assert view.rope.sentence == (
        "The original state is within reach: 2 steps back, about 8 s, last rehearsed today."
    )
    assert [each.rope for each in view.steps] == ["solid"] * 4
    shop.plan.steps.filter(key="to-10").update(
        reversibility=Reversibility.ONE_WAY, why_one_way="The old format is gone."
    )
    view = plan_view(shop.plan)
    assert view.rope.mark == "not_within_reach"
    assert view.rope.sentence == "The rope ends at “To 10%”: The old format is gone."


def test_what_was_seen_long_ago_is_not_known_now(shop: Shop) -> None:
    long_ago = timezone.now() - dt.timedelta(hours=30)
    RopeCheck.objects.create(plan=shop.plan, at=long_ago, within_reach=True)
    view = plan_view(shop.plan)
    assert view.rope.mark == "reach_unknown"
    assert view.rope.sentence == "Unknown: it was last looked at 30 hours ago."


def test_a_way_back_whose_time_is_over(shop: Shop) -> None:
    RopeCheck.objects.create(plan=shop.plan, at=timezone.now(), within_reach=True)
    shop.plan.steps.filter(key="to-1").update(
        state=StepState.DONE,
        reversibility=Reversibility.UNTIL,
        reversible_days=3,
        state_since=timezone.now() - dt.timedelta(days=4),
    )
    assert "and they are over" in plan_view(shop.plan).rope.sentence


def test_naming_a_clusters_envoys(cast: Cast) -> None:
    with pytest.raises(NotAllowed):
        name_envoys(actor=cast.erik, cluster=cast.cluster, urls=[])
    with pytest.raises(Invalid, match="http://"):
        name_envoys(actor=cast.lea, cluster=cast.cluster, urls=["10.0.0.1:8002"])
    named = name_envoys(
        actor=cast.lea,
        cluster=cast.cluster,
        urls=["http://10.0.0.1:8002/", "", "http://10.0.0.1:8002"],
    )
    assert named.urls == ["http://10.0.0.1:8002"]
