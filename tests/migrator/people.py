"""A shop with a plan, made by the verbs that people use."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

from django.utils import timezone

from core.choices import Stage
from core.models import Cluster
from migrator.choices import AttemptState, Direction, RehearsalMark, Reversibility, StepState
from migrator.models import (
    Attempt,
    EnvoyListeners,
    FreezeWindow,
    Override,
    Plan,
    RehearsalPolicy,
    RopeCheck,
    Service,
    Step,
    StepLease,
    StepRehearsal,
    Wave,
)
from migrator.operations.drafts import RollbackDraft, StepDraft
from migrator.operations.plan_editing import add_step
from migrator.operations.plans import clone_plan, create_plan
from migrator.operations.templates import create_template
from migrator.operations.waves import create_wave, put_in_wave
from tests.people import Cast, make_cluster

TRAFFIC = {
    "namespace": "shop",
    "route": "shop",
    "legacy_service": "shop-legacy",
    "kubernetes_service": "shop",
    "watch_s": 30,
    "least_requests": 5,
    "most_errors_percent": 5,
    "unknown_s": 20,
}


@dataclass
class Shop:
    cast: Cast
    service: Service
    plan: Plan

    def step(self, percent: int) -> Step:
        return self.plan.steps.get(key=f"to-{percent}")


def make_shop(cast: Cast, *percents: int, cluster: Cluster | None = None) -> Shop:
    """The shop, and its plan with one traffic step for each share, all of them rehearsed."""
    service, _ = Service.objects.get_or_create(
        slug="shop",
        defaults={
            "name": "Shop",
            "team": cast.team,
            "namespace": "shop",
            "workload_kind": "Deployment",
            "workload": "shop",
            "route": "shop",
            "legacy_address": "http://10.0.0.9:8080",
            "legacy_capacity": 200,
            "legacy_capacity_unit": "requests/s",
            "capacity_confirmed_by": cast.erik,
            "capacity_confirmed_at": timezone.now(),
            "cluster": cast.cluster,
        },
    )
    where = cluster or cast.cluster
    EnvoyListeners.objects.get_or_create(cluster=where, defaults={"urls": ["http://10.0.0.1:8002"]})
    plan = create_plan(actor=cast.lea, service=service, cluster=where, template=None)
    for percent in percents:
        rehearse(add_step(actor=cast.lea, plan=plan, draft=traffic_draft(cast, percent)), cast)
    return Shop(cast=cast, service=service, plan=Plan.objects.get(pk=plan.pk))


def traffic_draft(cast: Cast, percent: int, **more: Any) -> StepDraft:
    parameters = {**TRAFFIC, "percent": percent, **more}
    return StepDraft(
        title=f"To {percent}%",
        key=f"to-{percent}",
        kind="traffic",
        parameters=parameters,
        rollback=RollbackDraft(kind="restore", owner=cast.erik),
    )


def rehearse(step: Step, cast: Cast, *, days_ago: int = 0) -> StepRehearsal:
    """A rehearsal that counts: walked through, in a company whose policy takes that for one."""
    made = StepRehearsal.objects.create(
        step=step,
        step_version=step.version,
        mark=RehearsalMark.WALKED_THROUGH,
        by=cast.erik,
        at=timezone.now() - dt.timedelta(days=days_ago),
        duration_s=4,
        succeeded=True,
    )
    RehearsalPolicy.objects.update_or_create(tier=None, defaults={"walked_through": True})
    return made


def make_wave(cast: Cast, *services: Service, name: str = "The first wave") -> Wave:
    """Half over today, with these services in it."""
    today = timezone.localdate()
    wave = create_wave(
        actor=cast.lea,
        team=cast.team,
        name=name,
        starts_on=today - dt.timedelta(days=20),
        ends_on=today + dt.timedelta(days=20),
    )
    if services:
        put_in_wave(actor=cast.lea, wave=wave, version=wave.version, services=services)
    return Wave.objects.get(pk=wave.pk)


def make_attempt(shop: Shop) -> Attempt:
    """An attempt as the engine leaves it while it watches; no worker has it, and no slot."""
    step = shop.plan.steps.order_by("position").first()
    assert step is not None
    now = timezone.now()
    attempt = Attempt.objects.create(
        step=step,
        plan=shop.plan,
        cluster=shop.plan.cluster,
        direction=Direction.FORWARD,
        step_version=step.version,
        kind=step.kind,
        parameters=step.parameters,
        state=AttemptState.JUDGING,
        before={"percent": 0},
        diff=["HTTPProxy shop/shop: shop 0% → 1%"],
        seen={
            "sentence": "12 requests on Kubernetes, 0 server errors.",
            "figures": {"kubernetes": {"requests": 12, "errors": 0}},
        },
        due_at=now + dt.timedelta(hours=1),
        changed_at=now,
        asked_by=shop.cast.erik,
    )
    StepLease.objects.create(attempt=attempt)
    return attempt


def make_plans(cast: Cast) -> tuple[Shop, Plan]:
    """The shop half-way on QA, with a gate that is closed and one that was passed over, and its
    plan for production; a freeze to come, and a template."""
    now = timezone.now()
    shop = make_shop(cast, 1, 10, 50, 100)
    shop.plan.steps.filter(position__lte=2).update(state=StepState.DONE, state_since=now)
    StepRehearsal.objects.filter(step=shop.step(50)).delete()
    legacy_goes = StepDraft(
        title="Give the legacy machine back",
        kind="manual",
        parameters={"items": "Stop the process\nHand the machine over"},
        reversibility=Reversibility.ONE_WAY,
        why_one_way="The machine is given back.",
    )
    add_step(actor=cast.lea, plan=shop.plan, draft=legacy_goes)
    RopeCheck.objects.create(
        plan=shop.plan,
        at=now,
        within_reach=True,
        lines=[{"name": "legacy", "passed": True, "sentence": "legacy answered 200."}],
    )
    Override.objects.create(
        plan=shop.plan,
        step=shop.step(50),
        code="unrehearsed",
        reason="It was tried by hand on Tuesday.",
        signed_by=cast.lea,
        expires_at=now + dt.timedelta(hours=4),
    )
    FreezeWindow.objects.create(
        cluster=cast.cluster,
        starts_at=now + dt.timedelta(days=2),
        ends_at=now + dt.timedelta(days=4),
        why="The autumn sale",
        declared_by=cast.lea,
    )
    by_hand = replace(legacy_goes, title="Order by hand")
    create_template(
        actor=cast.lea,
        title="By hand",
        description="For what no other way fits.",
        steps=[by_hand, traffic_draft(cast, 10), traffic_draft(cast, 100)],
    )
    live = clone_plan(
        actor=cast.lea, plan=shop.plan, service=shop.service, cluster=production_cluster(cast)
    )
    return shop, live


def production_cluster(cast: Cast) -> Cluster:
    return make_cluster(cast.team, name="live-1", stage=Stage.PRODUCTION)
