"""A company half-way: services at every stage and in every health, two waves, a year of weeks."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

from core.models import Cluster
from migrator.choices import AttemptState, StepState
from migrator.models import Attempt, Plan, Service, Step, Wave, WaveService
from migrator.operations.dependencies import add_dependency
from migrator.operations.plan_editing import add_step
from migrator.operations.plans import create_plan
from migrator.operations.standings import refresh_services
from tests.migrator.people import (
    Shop,
    make_attempt,
    make_plans,
    make_wave,
    rehearse,
    traffic_draft,
)
from tests.people import Cast

_UNPLANNED = ("Accounts", "Catalogue", "Delivery", "Gift cards", "Loyalty", "Ratings", "Returns")


def make_company(cast: Cast) -> Shop:
    """The shop of `make_plans`, with others around it."""
    shop, live = make_plans(cast)
    production = live.cluster
    now = timezone.now()
    for name in _UNPLANNED:
        _service(cast, name)
    on_track = _moving(cast, "Basket", weeks=7, done=2)
    stale = _moving(cast, "Checkout", weeks=11, done=3, rehearsed_days_ago=80)
    back = _moving(cast, "Ledger", weeks=5, done=1)
    second = back.steps.get(position=2)
    Attempt.objects.filter(pk=make_attempt(Shop(cast, back.service, back)).pk).update(
        step=second,
        state=AttemptState.RETURNED,
        ended_at=now - dt.timedelta(days=2),
        reason="3 of 120 requests on Kubernetes failed; at most 1% may.",
    )
    _moving(cast, "Invoices", weeks=20, done=4)
    for name, done in (("Search", 4), ("Mailer", 2)):
        plan = _moving(cast, name, weeks=26, done=4)
        _also(cast, plan, production, done)
    _moving(cast, "Newsletter", weeks=1, done=0)
    add_dependency(actor=cast.erik, service=stale.service, needs=back.service)
    first = make_wave(cast, shop.service, on_track.service, back.service, name="Wave 1: reading")
    Wave.objects.filter(pk=first.pk).update(
        starts_on=now.date() - dt.timedelta(days=60), ends_on=now.date() - dt.timedelta(days=4)
    )
    wave = make_wave(cast, stale.service, name="Wave 2: writing")
    for service in Service.objects.filter(name__in=("Search", "Mailer", "Invoices")):
        WaveService.objects.create(service=service, wave=wave, put_in_by=cast.lea)
    later = make_wave(cast, name="Wave 3: all the rest")
    Wave.objects.filter(pk=later.pk).update(
        starts_on=now.date() + dt.timedelta(days=30), ends_on=now.date() + dt.timedelta(days=120)
    )
    refresh_services()
    return shop


def _service(cast: Cast, name: str) -> Service:
    return Service.objects.create(
        name=name,
        slug=name.lower().replace(" ", "-"),
        team=cast.team,
        tier=len(name) % 3 + 1,
        tags=["web"] if len(name) % 2 else ["data"],
    )


def _moving(cast: Cast, name: str, *, weeks: int, done: int, rehearsed_days_ago: int = 1) -> Plan:
    """On QA: four traffic steps, of which so many are done, one a week."""
    plan = create_plan(
        actor=cast.lea, service=_service(cast, name), cluster=cast.cluster, template=None
    )
    for percent in (1, 10, 50, 100):
        step = add_step(actor=cast.lea, plan=plan, draft=traffic_draft(cast, percent))
        rehearse(step, cast, days_ago=rehearsed_days_ago)
    _done(plan, weeks, done)
    return plan


def _also(cast: Cast, plan: Plan, cluster: Cluster, done: int) -> None:
    made = create_plan(actor=cast.lea, service=plan.service, cluster=cluster, template=None)
    for percent in (1, 10, 50, 100):
        step = add_step(actor=cast.lea, plan=made, draft=traffic_draft(cast, percent))
        rehearse(step, cast)
    _done(made, 12, done)


def _done(plan: Plan, weeks: int, done: int) -> None:
    began = timezone.now() - dt.timedelta(weeks=weeks)
    Plan.objects.filter(pk=plan.pk).update(made_at=began)
    for number, step in enumerate(Step.objects.filter(plan=plan).order_by("position")[:done]):
        since = min(began + dt.timedelta(weeks=2 * number + 1), timezone.now())
        Step.objects.filter(pk=step.pk).update(state=StepState.DONE, state_since=since)
