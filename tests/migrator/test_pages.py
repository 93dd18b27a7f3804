"""The pages of plans, as people go through them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from migrator.choices import AttemptState, Direction, StepState, Tier
from migrator.models import (
    Attempt,
    EnvoyListeners,
    FreezeWindow,
    Override,
    Plan,
    PlanTemplate,
    RehearsalPolicy,
    RopeCheck,
    Service,
    Step,
    StepRehearsal,
)
from migrator.operations.steps import start_step
from tests.migrator.conftest import As
from tests.migrator.people import Shop, make_attempt, make_shop, production_cluster
from tests.migrator.world import StepWorld, Story
from tests.people import Cast

pytestmark = pytest.mark.django_db


def text(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    return answer.content.decode()


def typed(step: Step) -> dict[str, str]:
    """The step's form as the page sends it."""
    return {
        "title": step.title,
        "expected_s": str(step.expected_s),
        "reversibility": step.reversibility,
        "check_kind": "none",
        "back_kind": "restore",
        "back_check_kind": "none",
        "back_expected_s": "60",
        "back_owner": str(step.rollback.owner_id),
        "version": str(Plan.objects.get(pk=step.plan_id).version),
        **{f"parameters.{name}": str(value) for name, value in step.parameters.items()},
    }


def test_a_plan_is_made_from_a_template(cast: Cast, client_of: As) -> None:
    Service.objects.create(name="Orders", slug="orders", team=cast.team, namespace="orders")
    lea = client_of("lea")
    assert "No plan yet" in text(lea, "/services/orders/")
    form = {"cluster": "", "template": "stateless-http"}
    answer = lea.post("/services/orders/plan/", form)
    assert answer.status_code == 422
    assert "Choose the cluster" in answer.content.decode()
    assert 'value="stateless-http" selected' in answer.content.decode(), "nothing is lost"
    answer = lea.post("/services/orders/plan/", form | {"cluster": "qa-range"})
    plan = Plan.objects.get()
    assert answer["Location"] == f"/plans/{plan.pk}/"
    page = text(lea, f"/plans/{plan.pk}/")
    assert page.count('data-testid="step"') == 8
    assert 'data-code="unrehearsed"' in page
    assert "Nobody has looked at it yet" in page


def test_the_plan_page_shows_the_rope_the_gates_and_what_comes_next(
    shop: Shop, client_of: As
) -> None:
    page = text(client_of("lea"), f"/plans/{shop.plan.pk}/")
    assert page.count('data-rope="solid"') == 4
    assert "Nothing was moved yet: this is the original state." in page
    assert "Next: <a" in page
    StepRehearsal.objects.all().delete()
    page = text(client_of("lea"), f"/plans/{shop.plan.pk}/")
    assert page.count('data-rope="thin"') == 4
    assert "Rehearse the way back" in page
    assert 'data-testid="sign-override"' in page
    assert 'data-testid="sign-override"' not in text(
        client_of("erik"), f"/plans/{shop.plan.pk}/"
    ), "only a lead signs"


def test_a_viewer_is_shown_no_button_that_would_refuse(shop: Shop, client_of: As) -> None:
    page = text(client_of("vera"), f"/plans/{shop.plan.pk}/")
    for testid in ("start-step", "rehearse", "skip", "sign-override", "archive-plan"):
        assert f'data-testid="{testid}"' not in page
    assert 'data-testid="check-rope"' in page


def test_a_refusal_is_told_on_the_page(shop: Shop, client_of: As) -> None:
    StepRehearsal.objects.all().delete()
    answer = client_of("erik").post(f"/steps/{shop.step(1).pk}/start/", follow=True)
    assert "has not been rehearsed with success" in answer.content.decode()
    assert not Attempt.objects.exists()


def test_an_attempt_from_start_to_end_on_its_page(
    shop: Shop, world: StepWorld, client_of: As
) -> None:
    world.per_s = 200
    erik = client_of("erik")
    answer = erik.post(f"/steps/{shop.step(1).pk}/start/")
    attempt = Attempt.objects.get()
    assert answer["Location"] == f"/attempts/{attempt.pk}/"
    page = text(erik, f"/attempts/{attempt.pk}/")
    assert 'data-state="step_planned"' in page
    assert f'hx-get="/attempts/{attempt.pk}/live/"' in page
    story = Story(attempt, world)
    story.to(AttemptState.JUDGING)
    story.go(lambda a: bool(a.seen))
    live = text(erik, f"/attempts/{attempt.pk}/live/")
    assert 'id="attempt-body" class="stack-l" hx-swap-oob="true"' in live
    assert "HTTPProxy shop/shop: shop 0% → 1%" in live
    assert 'data-testid="kubernetes-requests"' in live
    assert 'data-testid="turn-round"' in live
    plan = text(erik, f"/plans/{shop.plan.pk}/live/")
    assert 'data-state="judging"' in plan
    assert 'data-testid="start-step"' not in plan, "one at a time"
    story.go()
    page = text(erik, f"/attempts/{attempt.pk}/")
    assert 'data-state="step_done"' in page
    assert "hx-trigger" not in page.split('id="attempt-bar"')[1].split(">")[0], "it polls no more"
    assert 'data-testid="turn-round"' not in page
    assert 'data-testid="roll-back"' in text(erik, f"/plans/{shop.plan.pk}/")
    erik.post(f"/plans/{shop.plan.pk}/back/", {"down_to": "1"})
    assert Attempt.objects.live().get().direction == Direction.BACK


def test_the_first_done_step_leads_to_the_original_state_whatever_was_skipped(
    shop: Shop, client_of: As
) -> None:
    first, second, third = shop.plan.steps.order_by("position")[:3]
    skipped = {"state": StepState.SKIPPED, "skip_reason": "It is so already."}
    shop.plan.steps.filter(pk=first.pk).update(**skipped)
    shop.plan.steps.filter(pk__in=[second.pk, third.pk]).update(state=StepState.DONE)
    page = text(client_of("erik"), f"/plans/{shop.plan.pk}/")
    cards = page.split('data-testid="step"')[1:]
    said = [re.findall("Roll back to [a-z ]+", card) for card in cards[:3]]
    assert said == [[], ["Roll back to the original state"], ["Roll back to before this"]]


@pytest.mark.parametrize("state", AttemptState)
def test_a_page_of_every_state_renders(shop: Shop, client_of: As, state: AttemptState) -> None:
    attempt = make_attempt(shop)
    Attempt.objects.filter(pk=attempt.pk).update(state=state, reason="Because.")
    for who in ("lea", "vera"):
        page = text(client_of(who), f"/attempts/{attempt.pk}/")
        assert f'data-testid="attempt-state" data-state="{state}"' in page
        text(client_of(who), f"/plans/{shop.plan.pk}/")
    assert ('data-testid="by-hand"' in text(client_of("lea"), f"/attempts/{attempt.pk}/")) == (
        state == AttemptState.STUCK
    )


def test_a_checklist_is_ticked_without_javascript(cast: Cast, client_of: As) -> None:
    shop = make_shop(cast)
    form = {
        "title": "By hand",
        "expected_s": "60",
        "parameters.items": "one\r\ntwo",
        "parameters.back_items": "undo",
        "back_owner": str(cast.erik.pk),
    }
    erik = client_of("erik")
    address = f"/plans/{shop.plan.pk}/steps/new/?kind=manual"
    assert erik.post(address, form)["Location"] == f"/plans/{shop.plan.pk}/"
    step = shop.plan.steps.get()
    assert step.parameters == {"items": "one\ntwo", "back_items": "undo"}
    attempt = make_attempt(shop)
    Attempt.objects.filter(pk=attempt.pk).update(kind="manual", parameters=step.parameters)
    page = text(erik, f"/attempts/{attempt.pk}/")
    assert page.count('data-testid="tick"') == 2
    erik.post(f"/attempts/{attempt.pk}/tick/", {"part": "do", "item": "0"})
    page = text(erik, f"/attempts/{attempt.pk}/")
    assert page.count('data-testid="tick"') == 1
    assert "erik," in page


def test_the_form_keeps_what_was_typed_and_says_what_is_wrong_beside_it(
    shop: Shop, client_of: As
) -> None:
    erik, step = client_of("erik"), shop.step(1)
    form = typed(step) | {"parameters.percent": "300", "parameters.route": "my own words"}
    answer = erik.post(f"/steps/{step.pk}/edit/", form)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Share for Kubernetes: 300% is out of bounds; choose 0 to 100%." in page
    assert 'value="my own words"' in page
    assert page.count("field-error") >= 2
    step.refresh_from_db()
    assert step.parameters["percent"] == 1


def test_the_form_shows_the_fields_of_what_is_chosen(shop: Shop, client_of: As) -> None:
    erik, step = client_of("erik"), shop.step(1)
    form = typed(step) | {"title": "My words", "check_kind": "http", "refresh": "1"}
    page = erik.post(f"/steps/{step.pk}/edit/", form).content.decode()
    assert 'name="check.url"' in page
    assert 'value="My words"' in page
    step.refresh_from_db()
    assert step.title == "To 1%", "nothing was saved yet"
    form = typed(step) | {"back_kind": "manual", "refresh": "1"}
    page = erik.post(f"/steps/{step.pk}/edit/", form).content.decode()
    assert 'name="back.items"' in page


def test_somebody_else_changed_the_plan_meanwhile(shop: Shop, client_of: As) -> None:
    lea, step = client_of("lea"), shop.step(1)
    form = typed(step)
    client_of("erik").post(f"/steps/{shop.step(10).pk}/edit/", typed(shop.step(10)))
    answer = lea.post(f"/steps/{step.pk}/edit/", form | {"title": "Mine"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Somebody else changed this plan meanwhile" in page
    found = re.search(r'name="version" value="(\d+)"', page)
    assert found is not None
    again = lea.post(f"/steps/{step.pk}/edit/", form | {"title": "Mine", "version": found[1]})
    assert again.status_code == 302
    step.refresh_from_db()
    assert step.title == "Mine"


def test_a_template_is_changed_in_the_browser_and_every_save_is_a_version(
    client_of: As, cast: Cast
) -> None:
    lea = client_of("lea")
    lea.post("/templates/new/", {"title": "Ours", "description": "d"})
    made = PlanTemplate.objects.get(title="Ours")
    form: dict[str, Any] = {
        "title": "Soak",
        "version": "1",
        "expected_s": "60",
        "parameters.soak_s": "60",
    }
    address = f"/templates/{made.slug}/steps/0/?kind=observe"
    assert lea.post(address, form)["Location"] == f"/templates/{made.slug}/"
    wrong = lea.post(f"/templates/{made.slug}/steps/1/?kind=observe", form | {"version": "2",
                     "parameters.soak_s": "never"})  # fmt: skip
    assert wrong.status_code == 422
    assert 'value="never"' in wrong.content.decode()
    stale = lea.post(f"/templates/{made.slug}/steps/1/?kind=observe", form)
    assert "Somebody else changed this template meanwhile" in stale.content.decode()
    lea.post(f"/templates/{made.slug}/steps/1/?kind=observe", form | {"version": "2",
             "title": "Again"})  # fmt: skip
    lea.post(f"/templates/{made.slug}/steps/1/arrange/", {"version": "3", "what": "earlier"})
    page = text(lea, f"/templates/{made.slug}/")
    assert page.index("Again") < page.index("Soak</a>")
    assert made.versions.count() == 4
    assert [s["key"] for s in made.versions.all()[0].steps] == ["again", "soak"]
    lea.post(f"/templates/{made.slug}/archive/", {"to": "archive"})
    assert "out of use" in text(lea, "/templates/")


def test_an_override_is_signed_on_the_page_and_stays_visible(shop: Shop, client_of: As) -> None:
    StepRehearsal.objects.all().delete()
    lea = client_of("lea")
    form = {"code": "unrehearsed", "subject": "", "reason": "Tried by hand.", "hours": "4"}
    lea.post(f"/steps/{shop.step(1).pk}/override/", form)
    page = text(client_of("vera"), f"/plans/{shop.plan.pk}/")
    assert 'data-testid="override"' in page
    assert "Tried by hand." in page
    lea.post(f"/overrides/{Override.objects.get().pk}/withdraw/")
    assert 'data-testid="override"' not in text(lea, f"/plans/{shop.plan.pk}/")


def test_freezes_envoys_and_what_counts(cast: Cast, client_of: As) -> None:
    lea, olga = client_of("lea"), client_of("olga")
    wrong = lea.post("/freezes/", {"cluster": "qa-range", "why": "A sale", "starts_date": "soon"})
    assert wrong.status_code == 422
    assert 'value="A sale"' in wrong.content.decode()
    form = {
        "cluster": "qa-range",
        "why": "A sale",
        "starts_date": "2099-03-01",
        "starts_time": "10:00",
        "ends_date": "2099-03-02",
        "ends_time": "10:00",
    }
    assert lea.post("/freezes/", form).status_code == 302
    freeze = FreezeWindow.objects.get()
    assert "A sale" in text(lea, "/freezes/")
    lea.post(f"/freezes/{freeze.pk}/lift/")
    freeze.refresh_from_db()
    assert freeze.lifted_by == cast.lea
    wrong = lea.post("/clusters/qa-range/envoys/", {"urls": "not an address"})
    assert wrong.status_code == 422
    assert "not an address</textarea>" in wrong.content.decode()
    lea.post("/clusters/qa-range/envoys/", {"urls": "http://10.0.0.1:8002\r\nhttp://10.0.0.2:8002"})
    assert EnvoyListeners.objects.get().urls == ["http://10.0.0.1:8002", "http://10.0.0.2:8002"]
    assert olga.post("/rehearsal-policy/", {"tier": "1", "days": "7"}).status_code == 422
    assert (
        olga.post("/rehearsal-policy/", {"tier": "1", "days": "7", "real_route": "on"}).status_code
        == 302
    )
    assert RehearsalPolicy.objects.get().tier == Tier.ONE
    unknown = olga.post("/rehearsal-policy/", {"tier": "gold", "days": "7", "real_route": "on"})
    assert unknown.status_code == 422
    assert "choose one of the list" in unknown.content.decode()


def test_production_shows_what_qa_proved(shop: Shop, world: StepWorld, client_of: As) -> None:
    world.per_s = 200
    Story(start_step(actor=shop.cast.erik, step=shop.step(1)), world).go()
    live = make_shop(shop.cast, 1, cluster=production_cluster(shop.cast))
    page = text(client_of("lea"), f"/plans/{live.plan.pk}/")
    assert "Done on qa-range:" in page
    assert "what QA proved" in page


def test_where_the_service_is(shop: Shop, client_of: As) -> None:
    RopeCheck.objects.create(plan=shop.plan, at=timezone.now(), within_reach=True)
    shop.plan.steps.filter(key="to-1").update(state=StepState.DONE, state_since=timezone.now())
    page = text(client_of("vera"), f"/plans/{shop.plan.pk}/")
    assert page.count("the service is here") == 1
    assert "The original state is within reach: 1 step back" in page


def test_hostile_words_are_shown_and_not_run(shop: Shop, client_of: As) -> None:
    step = shop.step(1)
    Step.objects.filter(pk=step.pk).update(title="<script>alert(1)</script>")
    page = text(client_of("lea"), f"/plans/{shop.plan.pk}/")
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_a_services_page_shows_its_plans_and_who_leads_makes_one(shop: Shop, client_of: As) -> None:
    lea = client_of("lea")
    page = text(lea, "/services/shop/")
    assert f'href="/plans/{shop.plan.pk}/">QA, qa-range</a>' in page
    assert "0 of 4 steps" in page
    assert "make-a-plan" in page
    assert "make-a-plan" not in text(client_of("erik"), "/services/shop/"), "leads only"
    make_shop(shop.cast, 1, cluster=production_cluster(shop.cast))
    assert "make-a-plan" not in text(lea, "/services/shop/"), "each stage has one"


def test_a_plan_says_what_it_is_filled_in_with_and_what_is_a_guess(
    cast: Cast, client_of: As
) -> None:
    Service.objects.create(
        name="Orders",
        slug="orders",
        team=cast.team,
        cluster=cast.cluster,
        namespace="sales",
        workload_kind="StatefulSet",
        workload="orders-web",
        legacy_address="http://10.0.0.7:80",
    )
    page = text(client_of("lea"), "/services/orders/plan/")
    assert '<option value="qa-range" selected>' in page
    for known in ("<code>sales</code>", "StatefulSet <code>orders-web</code>", "10.0.0.7"):
        assert known in page
    assert page.count("a guess") == 1, "the route alone"
    assert "still lacks a declared capacity and a route" in page


def test_a_new_steps_form_begins_with_what_the_inventory_knows(shop: Shop, client_of: As) -> None:
    page = text(client_of("lea"), f"/plans/{shop.plan.pk}/steps/new/?kind=traffic")
    for name, value in (
        ("namespace", "shop"),
        ("route", "shop"),
        ("legacy_service", "shop-legacy"),
        ("kubernetes_service", "shop"),
    ):
        assert re.search(rf'name="parameters.{name}"[^>]* value="{value}"', page), name
    scale = text(client_of("lea"), f"/plans/{shop.plan.pk}/steps/new/?kind=scale")
    assert '<option value="Deployment" selected>' in scale
    in_template = text(client_of("lea"), "/templates/stateless-http/steps/8/?kind=traffic")
    assert 'value="shop-legacy"' not in in_template
