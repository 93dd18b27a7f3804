"""What holds a step back: every reason with its code and what clears it, and who passes over it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from core.errors import Conflict, Invalid, NotAllowed
from core.models import Cluster
from core.operations.emergency import record_stop
from gamedays.choices import FindingStatus, Severity, Verdict
from gamedays.models import Finding, Injection
from gamedays.operations.proofs import require_proofs
from migrator.choices import RehearsalMark, Reversibility, StepState
from migrator.gates import Reason, reasons
from migrator.models import Attempt, RehearsalPolicy, RopeCheck, Service, Step, StepRehearsal
from migrator.operations.overrides import (
    declare_freeze,
    lift_freeze,
    sign_override,
    withdraw_override,
)
from migrator.operations.plan_editing import add_step
from migrator.operations.plans import create_plan
from migrator.operations.rehearsals import record_walk_through, set_rehearsal_policy
from migrator.operations.steps import sign_off_step, start_step
from migrator.selectors.rehearsals import rehearsals_of
from tests.migrator.people import Shop, make_shop, production_cluster, rehearse, traffic_draft
from tests.people import ETCD, Cast
from tests.ui import factories

pytestmark = pytest.mark.django_db
HOUR = dt.timedelta(hours=1)


def codes(step: Step) -> list[str]:
    return [reason.code for reason in reasons(step) if reason.holds]


def refused(shop: Shop, step: Step) -> str:
    with pytest.raises(Conflict) as told:
        start_step(actor=shop.cast.erik, step=step)
    assert not Attempt.objects.exists()
    return told.value.code


def test_an_open_way_is_open(shop: Shop) -> None:
    assert codes(shop.step(1)) == []
    start_step(actor=shop.cast.erik, step=shop.step(1))


def test_unrehearsed_and_stale(shop: Shop) -> None:
    step = shop.step(1)
    StepRehearsal.objects.all().delete()
    assert codes(step) == ["unrehearsed"]
    assert refused(shop, step) == "unrehearsed"
    rehearse(step, shop.cast, days_ago=31)
    assert codes(step) == ["rehearsal_stale"]
    rehearse(step, shop.cast, days_ago=1)
    assert codes(step) == []


def test_a_walk_through_counts_only_where_a_policy_says_so(shop: Shop) -> None:
    step = shop.step(1)
    StepRehearsal.objects.all().delete()
    RehearsalPolicy.objects.all().delete()
    record_walk_through(
        actor=shop.cast.erik, step=step, minutes=3, notes="Erik and Vera.", succeeded=True
    )
    assert codes(step) == ["unrehearsed"]
    with pytest.raises(NotAllowed):
        set_policy(shop.cast.lea)
    set_policy(shop.cast.olga)
    assert codes(step) == []


def set_policy(actor: Any) -> None:
    set_rehearsal_policy(
        actor=actor,
        tier=None,
        days=30,
        real_route=True,
        stand_in=True,
        walked_through=True,
        capacity_days=90,
    )


def test_a_freeze_holds_until_it_is_lifted(shop: Shop) -> None:
    now = timezone.now()
    freeze = declare_freeze(
        actor=shop.cast.lea,
        cluster=shop.cast.cluster,
        starts_at=now - HOUR,
        ends_at=now + HOUR,
        why="A sale",
    )
    assert codes(shop.step(1)) == ["frozen"]
    assert refused(shop, shop.step(1)) == "frozen"
    lift_freeze(actor=shop.cast.lea, freeze=freeze)
    assert codes(shop.step(1)) == []
    with pytest.raises(NotAllowed):
        declare_freeze(
            actor=shop.cast.erik,
            cluster=shop.cast.cluster,
            starts_at=now,
            ends_at=now + HOUR,
            why="A sale",
        )


def test_an_emergency_stop_holds_and_nobody_passes_over_it(shop: Shop) -> None:
    record_stop(actor=shop.cast.vera, why="smoke")
    assert refused(shop, shop.step(1)) == "emergency_stop"
    with pytest.raises(Conflict, match="Nobody can pass over"):
        sign_override(
            actor=shop.cast.lea,
            step=shop.step(1),
            code="emergency_stop",
            reason="because",
            hours=1,
        )


def test_a_blocking_finding_holds_until_it_is_proved_fixed(shop: Shop) -> None:
    run = factories.make_run(shop.cast, verdict=Verdict.BROKE, judgement=factories.BROKE)
    finding = factories.make_finding(shop.cast, run)
    Finding.objects.filter(pk=finding.pk).update(severity=Severity.MEDIUM)
    assert codes(shop.step(1)) == []
    Finding.objects.filter(pk=finding.pk).update(
        severity=Severity.HIGH, status=FindingStatus.FIX_READY
    )
    [reason] = reasons(shop.step(1))
    assert (reason.code, reason.link) == ("blocking_finding", f"/findings/{finding.pk}/")
    assert refused(shop, shop.step(1)) == "blocking_finding"


def test_a_finding_about_a_service_holds_that_one_and_no_other(shop: Shop) -> None:
    run = factories.make_run(shop.cast, verdict=Verdict.BROKE, judgement=factories.BROKE)
    finding = factories.make_finding(shop.cast, run)
    other = Service.objects.create(name="Prices", slug="prices", team=shop.cast.team)
    Finding.objects.filter(pk=finding.pk).update(severity=Severity.HIGH, service=other)
    assert codes(shop.step(1)) == []
    Finding.objects.filter(pk=finding.pk).update(service=shop.service)
    [reason] = reasons(shop.step(1))
    assert reason.sentence.startswith("A high finding about Shop is not proved fixed")
    assert refused(shop, shop.step(1)) == "blocking_finding"


def test_required_proofs_are_missing_stale_or_there(shop: Shop) -> None:
    cluster, lea = shop.cast.cluster, shop.cast.lea
    with pytest.raises(NotAllowed):
        require_proofs(actor=shop.cast.erik, cluster=cluster, weeks={ETCD: "4"})
    with pytest.raises(Invalid, match="1 to 52"):
        require_proofs(actor=lea, cluster=cluster, weeks={ETCD: "99"})
    require_proofs(actor=lea, cluster=cluster, weeks={ETCD: "4"})
    assert codes(shop.step(1)) == ["proof_missing"]
    run = factories.make_run(shop.cast, verdict=Verdict.BROKE)
    assert codes(shop.step(1)) == ["proof_missing"]
    Injection.objects.filter(pk=run.pk).update(verdict=Verdict.HELD)
    assert codes(shop.step(1)) == []
    old = timezone.now() - dt.timedelta(weeks=5)
    Injection.objects.filter(pk=run.pk).update(ended_at=old)
    assert codes(shop.step(1)) == ["proof_stale"]
    [reason] = reasons(shop.step(1))
    assert reason.link == "/gamedays/book/?scenario=etcd-member-down"
    require_proofs(actor=lea, cluster=cluster, weeks={})
    assert codes(shop.step(1)) == []


def test_a_lost_rope_holds(shop: Shop) -> None:
    line = {"name": "legacy", "passed": False, "sentence": "legacy did not answer."}
    made = RopeCheck.objects.create(
        plan=shop.plan, at=timezone.now(), within_reach=False, lines=[line]
    )
    assert refused(shop, shop.step(1)) == "not_within_reach"
    made.within_reach = None
    made.save()
    assert refused(shop, shop.step(1)) == "reach_unknown"


def test_production_waits_for_qa(shop: Shop) -> None:
    there = production_cluster(shop.cast)
    live = make_shop(shop.cast, 1, cluster=there)
    step = live.step(1)
    assert codes(step) == ["qa_first"]
    shop.plan.steps.filter(key="to-1").update(state=StepState.DONE)
    assert codes(step) == []


def test_a_rehearsal_on_qa_is_one_on_a_stand_in_while_both_run_the_same_minor(
    shop: Shop,
) -> None:
    there = production_cluster(shop.cast)
    live = make_shop(shop.cast, 1, cluster=there)
    StepRehearsal.objects.filter(step__plan=live.plan).delete()
    step, on_qa = live.step(1), shop.step(1)
    attempt = start_step(actor=shop.cast.erik, step=on_qa)
    StepRehearsal.objects.filter(step=on_qa).update(mark=RehearsalMark.REAL_ROUTE, attempt=attempt)
    Cluster.objects.update(kubernetes_version="v1.36.3")
    step.refresh_from_db()
    fresh = Step.objects.get(pk=step.pk)
    assert [each.mark for each in rehearsals_of(fresh)] == [RehearsalMark.STAND_IN]
    Cluster.objects.filter(pk=there.pk).update(kubernetes_version="v1.35.9")
    assert rehearsals_of(Step.objects.get(pk=step.pk)) == []
    Cluster.objects.filter(pk=there.pk).update(kubernetes_version="v1.36.0")
    assert len(rehearsals_of(Step.objects.get(pk=step.pk))) == 1
    Step.objects.filter(pk=step.pk).update(parameters=step.parameters | {"percent": 50})
    assert rehearsals_of(Step.objects.get(pk=step.pk)) == [], "1% there is not 50% here"


@override_settings(BELAY_STEP_GATES=("tests.migrator.test_gates.an_audit",))
def test_whoever_else_has_a_reason_is_asked_by_its_path(shop: Shop) -> None:
    [reason] = reasons(shop.step(1))
    assert (reason.code, reason.clears) == ("audit_open", "Open the audit")
    assert refused(shop, shop.step(1)) == "audit_open"


def an_audit(step: Step) -> Iterable[Reason]:
    yield Reason(
        code="audit_open",
        sentence=f"The audit of {step.plan.service} is not over.",
        clears="Open the audit",
        link="/",
    )


def test_an_override_is_signed_for_one_reason_has_one_and_expires(shop: Shop) -> None:
    step = shop.step(1)
    StepRehearsal.objects.all().delete()
    with pytest.raises(NotAllowed):
        sign_override(
            actor=shop.cast.erik, step=step, code="unrehearsed", reason="because", hours=1
        )
    with pytest.raises(Invalid):
        sign_override(actor=shop.cast.lea, step=step, code="unrehearsed", reason=" ", hours=1)
    with pytest.raises(Conflict, match="does not hold"):
        sign_override(actor=shop.cast.lea, step=step, code="frozen", reason="because", hours=1)
    signed = sign_override(
        actor=shop.cast.lea, step=step, code="unrehearsed", reason="Tried by hand.", hours=1
    )
    assert codes(step) == []
    [shown] = reasons(step)
    assert shown.override == signed, "it stays visible"
    type(signed).objects.filter(pk=signed.pk).update(
        signed_at=timezone.now() - 3 * HOUR, expires_at=timezone.now() - HOUR
    )
    assert codes(step) == ["unrehearsed"]
    again = sign_override(
        actor=shop.cast.lea, step=step, code="unrehearsed", reason="Once more.", hours=1
    )
    withdraw_override(actor=shop.cast.lea, override=again)
    assert codes(step) == ["unrehearsed"]


def test_an_override_of_one_finding_passes_over_no_other(shop: Shop) -> None:
    run = factories.make_run(shop.cast, verdict=Verdict.BROKE, judgement=factories.BROKE)
    one, two = (factories.make_finding(shop.cast, run) for _ in range(2))
    Finding.objects.update(severity=Severity.HIGH)
    sign_override(
        actor=shop.cast.lea,
        step=shop.step(1),
        code="blocking_finding",
        subject=str(one.pk),
        reason="Not about the shop.",
        hours=1,
    )
    held = [reason.subject for reason in reasons(shop.step(1)) if reason.holds]
    assert held == [str(two.pk)]


def test_a_one_way_step_needs_a_second_person(cast: Cast) -> None:
    shop = make_shop(cast)
    draft = traffic_draft(cast, 100)
    step = add_step(
        actor=cast.lea,
        plan=shop.plan,
        draft=type(draft)(
            title="For good",
            kind="traffic",
            parameters=draft.parameters,
            reversibility=Reversibility.ONE_WAY,
            why_one_way="The old format is gone.",
        ),
    )
    assert refused(shop, step) == "not_signed_off"
    sign_off_step(actor=cast.erik, step=step, reason="It is right.")
    assert refused(shop, step) == "not_signed_off"
    assert codes(step) == [], "for anybody else it is signed"
    start_step(actor=cast.lea, step=step)


def test_a_plan_for_another_stage_has_gates_of_its_own(shop: Shop) -> None:
    there = production_cluster(shop.cast)
    live = create_plan(actor=shop.cast.lea, service=shop.service, cluster=there, template=None)
    assert live.stage == "production"
