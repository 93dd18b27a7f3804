"""How long the overview takes at 10,000 services and 100,000 steps. Nothing is asserted.

Not collected by default: `.venv/bin/pytest -s tests/migrator/measure_overview.py` prints them.
"""

from __future__ import annotations

import datetime as dt
import statistics
import time

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from migrator.models import Hold, Plan, Service, ServiceStanding, StandingMark, Step, WaveService
from tests.migrator.people import make_wave
from tests.people import Cast

SERVICES, STEPS = 10_000, 10
PAGES = (
    "/migrations/",
    "/migrations/?tag=tag-3&tier=2&cluster=qa-range&wave=none",
    "/migrations/blocked/",
    "/migrations/blocked/?code=dependency_not_there&subject=7",
    "/migrations/burn-up/",
    "/migrations/report/",
    "/migrations/report/markdown/",
    "/waves/",
    "/services/?health=blocked&stage=on_qa",
    "/services/?wave=none",
    "/",
)


def _fill(cast: Cast) -> None:
    now = timezone.now()
    Service.objects.bulk_create(
        Service(
            name=f"Service {n}",
            slug=f"service-{n}",
            team=cast.team,
            tier=n % 3 + 1,
            tags=[f"tag-{n % 7}"],
            cluster=cast.cluster if n % 4 else None,
        )
        for n in range(SERVICES)
    )
    services = list(Service.objects.order_by("pk"))
    Plan.objects.bulk_create(
        Plan(service=each, cluster=cast.cluster, stage="qa", title=each.name, made_by=cast.lea)
        for each in services
    )
    plans = list(Plan.objects.order_by("pk"))
    for n, plan in enumerate(plans):
        plan.made_at = now - dt.timedelta(days=n % 300)
    Plan.objects.bulk_update(plans, ["made_at"], batch_size=2000)
    Step.objects.bulk_create(
        (
            Step(
                plan=plan,
                key=f"step-{k}",
                position=k + 1,
                title=f"Step {k}",
                kind="manual",
                state="done" if k < n % (STEPS + 1) else "waiting",
                state_since=now - dt.timedelta(days=(n + k) % 200),
            )
            for n, plan in enumerate(plans)
            for k in range(STEPS)
        ),
        batch_size=5000,
    )
    standings = list(ServiceStanding.objects.order_by("service"))
    first = {plan.service_id: plan for plan in plans}
    step_ids = dict(Step.objects.filter(position=1).values_list("plan", "pk"))
    for n, row in enumerate(standings):
        row.behind, row.steps = n % (STEPS + 1), STEPS
        row.stage = ("planned", "on_qa", "on_qa", "proved")[n % 4]
        row.health = ("blocked", "on_track", "late", "rolled_back", "blocked")[n % 5]
        row.sentence, row.clears, row.link = "Because of this.", "Open its plan", "/plans/1/"
        row.plan_id, row.step_id = first[row.service_id].pk, step_ids[first[row.service_id].pk]
        row.began_at = now
    ServiceStanding.objects.bulk_update(
        standings,
        ["behind", "steps", "stage", "health", "sentence", "clears", "link", "plan_id", "step_id",
         "began_at"],
        batch_size=2000,
    )  # fmt: skip
    Hold.objects.bulk_create(
        Hold(
            service_id=row.service_id,
            plan_id=first[row.service_id].pk,
            step_id=step_ids[first[row.service_id].pk],
            code="dependency_not_there" if n % 2 else "unrehearsed",
            subject=str(n % 40) if n % 2 else "",
            cause="Something is not there yet",
            sentence="Something, which it needs, is not there yet.",
            clears="Open its plan",
            link="/plans/1/",
        )
        for n, row in enumerate(standings)
    )
    waves = [make_wave(cast, name=f"Wave {n}") for n in range(12)]
    WaveService.objects.bulk_create(
        WaveService(service=each, wave=waves[n % 12], put_in_by=cast.lea)
        for n, each in enumerate(services)
        if n % 3
    )
    StandingMark.objects.all().delete()


@pytest.mark.timeout(3600)
def test_figures(cast: Cast) -> None:
    print()
    _fill(cast)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    for who in (cast.lea, cast.olga):
        client = Client()
        client.force_login(who)
        for path in PAGES:
            assert client.get(path).status_code == 200
            took, busy = [], []
            for _ in range(7):
                began, used = time.perf_counter(), time.process_time()
                client.get(path)
                took.append((time.perf_counter() - began) * 1000)
                busy.append((time.process_time() - used) * 1000)
            median, ours = statistics.median(took), statistics.median(busy)
            print(f"{who} {path}: {median:.0f} ms, {ours:.0f} of them ours")
