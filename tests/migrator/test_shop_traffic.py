"""The shop moves from its legacy machine to Kubernetes and back, on the real range, under load."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from core.watchdog import LEASE_S
from practice.facts import RangeFacts
from tests.faults.nodes import ClusterLook
from tests.faults.person import Person
from tests.migrator.shop_client import Client, assert_share
from tests.stack.running import RunningStack, wait_until

pytestmark = [pytest.mark.range, pytest.mark.timeout(600, func_only=True)]
PERCENTS = (1, 10, 50, 100)
WATCH_S = 20
SETTLED_S = 2.0
"""After a change was seen to stand, until every Envoy has it."""
FINAL = ("step_done", "returned", "step_refused", "returned_by_hand")
ROUTE = ("httpproxy", "shop", "-n", "shop")
SERVICE = ("service", "shop", "-n", "shop")
_PLAN = """
import json
from django.utils import timezone
from core.models import Cluster, User
from migrator.choices import FINAL
from migrator.models import EnvoyListeners, Plan, Service
from migrator.operations.drafts import RollbackDraft, StepDraft
from migrator.operations.overrides import name_envoys
from migrator.operations.plan_editing import add_step
from migrator.operations.plans import archive_plan, create_plan
from migrator.operations.rehearsals import record_walk_through, set_rehearsal_policy
from migrator.operations.services import confirm_capacity

wish = json.loads({wish!r})
lea, olga = (User.objects.get(username=name) for name in ("lea", "olga"))
cluster = Cluster.objects.active().get(name="qa-range")
service = Service.objects.get(slug="shop")
Service.objects.filter(pk=service.pk).update(cluster=cluster, legacy_address=wish["legacy"])
service.refresh_from_db()
confirm_capacity(actor=lea, service=service, version=service.version)
set_rehearsal_policy(
    actor=olga, tier=None, days=30, real_route=True, stand_in=True, walked_through=True,
    capacity_days=90,
)
name_envoys(actor=lea, cluster=cluster, urls=wish["envoys"])
for old in Plan.objects.current().filter(service=service):
    archive_plan(actor=lea, plan=old)
plan = create_plan(actor=lea, service=service, cluster=cluster, template=None)
steps = {{}}
for percent in wish["percents"]:
    step = add_step(actor=lea, plan=plan, draft=StepDraft(
        title=f"To {{percent}}%", key=f"to-{{percent}}", kind="traffic",
        parameters=dict(wish["parameters"], percent=percent),
        rollback=RollbackDraft(owner=lea),
    ))
    record_walk_through(
        actor=lea, step=step, minutes=1, notes="The weights are set back.", succeeded=True
    )
    steps[percent] = step.pk
print(json.dumps({{"plan": plan.pk, "steps": steps}}))
"""


class Shop:
    """The shop's plan on the range, driven by people at the pages."""

    def __init__(self, stack: RunningStack, facts: RangeFacts) -> None:
        self.stack, self.facts = stack, facts
        self.look = ClusterLook.of(facts)
        self.erik = Person(stack.base_url, "erik", stack.password)
        self.vera = Person(stack.base_url, "vera", stack.password)
        self.plan, self.steps = 0, dict[int, int]()

    def make_plan(self, *percents: int, **parameters: object) -> None:
        wish = {
            "legacy": self.facts.legacy_url,
            "envoys": self.facts.envoy_stats,
            "percents": percents,
            "parameters": {
                "namespace": "shop",
                "route": "shop",
                "legacy_service": "shop-legacy",
                "kubernetes_service": "shop",
                "watch_s": WATCH_S,
                "least_requests": 5,
                "most_errors_percent": 5,
                "unknown_s": 60,
                **parameters,
            },
        }
        made = self.stack.shell.run(_PLAN.format(wish=json.dumps(wish)))
        self.plan = int(made["plan"])
        self.steps = {int(percent): int(step) for percent, step in made["steps"].items()}

    def get(self, *what: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.look.kubectl("get", *what, "-o", "json"))
        return found

    @property
    def spec(self) -> dict[str, Any]:
        found: dict[str, Any] = self.get(*ROUTE)["spec"]
        return found

    @property
    def percent(self) -> int:
        services = self.spec["routes"][0]["services"]
        return next(int(each.get("weight", 0)) for each in services if each["name"] == "shop")

    def set_percent(self, percent: int) -> None:
        """What somebody does at the cluster itself."""
        services = [
            {"name": "shop-legacy", "port": 80, "weight": 100 - percent},
            {"name": "shop", "port": 80, "weight": percent},
        ]
        body = json.dumps({"spec": {"routes": [{"services": services}]}})
        self.look.kubectl("patch", *ROUTE, "--type=merge", "-p", body)

    def break_new_side(self, *, broken: bool) -> None:
        """Nobody listens where the Service sends them: Envoy answers 503 for that half alone."""
        port = 8099 if broken else 8080
        body = json.dumps({"spec": {"ports": [{"port": 80, "targetPort": port}]}})
        self.look.kubectl("patch", *SERVICE, "--type=merge", "-p", body)

    def start(self, percent: int) -> str:
        """Erik starts the step; its attempt."""
        before = {row["id"] for row in self._attempts()}
        status = self.erik.post(f"/steps/{self.steps[percent]}/start/")
        assert status == 200, f"starting was answered {status}"
        fresh = [row["id"] for row in self._attempts() if row["id"] not in before]
        assert len(fresh) == 1, self.erik.get(f"/plans/{self.plan}/")[1][-2000:]
        return str(fresh[0])

    def row(self, attempt: str) -> dict[str, Any]:
        return self.stack.query("SELECT * FROM migrator_attempt WHERE id = %s", attempt)[0]

    def await_state(self, attempt: str, *states: str, within_s: float = 120) -> dict[str, Any]:
        """Wait for one of the states; an attempt that ended in another way fails at once."""
        wait_until(
            lambda: self.row(attempt)["state"] in (*states, *FINAL),
            within_s=within_s,
            what=f"attempt in {states}",
            every_s=0.1,
        )
        row = self.row(attempt)
        assert row["state"] in states, (row["state"], row["reason"], row["seen"])
        return row

    def live(self) -> str | None:
        rows = self.stack.query(
            "SELECT id::text FROM migrator_attempt WHERE plan_id = %s AND state <> ALL(%s)",
            self.plan,
            list(FINAL),
        )
        return str(rows[0]["id"]) if rows else None

    def _attempts(self) -> list[dict[str, Any]]:
        return self.stack.query(
            "SELECT id::text FROM migrator_attempt WHERE plan_id = %s", self.plan
        )


@pytest.fixture
def shop(stack: RunningStack, practice_range: RangeFacts) -> Iterator[Shop]:
    """The shop, all of its requests on legacy. Afterwards its route and Service are as before."""
    found = Shop(stack, practice_range)
    route, service = found.spec, found.get(*SERVICE)["spec"]["ports"]
    found.set_percent(0)
    time.sleep(SETTLED_S)
    yield found
    stack.start_program("worker-steps")
    for program in ("worker-steps", "watchdog"):
        stack.signal(program, signal.SIGCONT)
    if attempt := found.live():
        found.vera.post(f"/attempts/{attempt}/back/")
        wait_until(lambda: found.live() is None, within_s=120, what="no step is under way")
    ports = json.dumps({"spec": {"ports": service}})
    found.look.kubectl("patch", *SERVICE, "--type=merge", "-p", ports)
    routes = json.dumps({"spec": {"routes": route["routes"]}})
    found.look.kubectl("patch", *ROUTE, "--type=merge", "-p", routes)
    assert found.spec == route


def test_the_shop_goes_all_the_way_and_all_the_way_back(shop: Shop) -> None:
    """The shares that arrive are the weights; no request fails; afterwards the route equals the one
    before, field by field."""
    shop.make_plan(*PERCENTS)
    original = shop.spec
    with Client(shop.facts.shop_url, shop.facts.shop_host) as client:
        for percent in PERCENTS:
            attempt = shop.start(percent)
            shop.await_state(attempt, "judging", within_s=60)
            watched = time.time() + SETTLED_S
            row = shop.await_state(attempt, "step_done", within_s=WATCH_S + 60)
            assert shop.percent == percent
            assert_share(client.between(watched, time.time()), percent)
            counted = row["seen"]["figures"]["kubernetes"]
            assert counted["requests"] >= 5
            assert counted["errors"] == 0
        status = shop.erik.post(f"/plans/{shop.plan}/back/", down_to="0")
        assert status == 200
        wait_until(lambda: shop.percent == 0, within_s=120, what="the original weights")
        wait_until(lambda: shop.live() is None, within_s=60, what="every way back is proved")
        arrived = time.time() + SETTLED_S
        wait_until(lambda: time.time() > arrived + 6, within_s=20, what="a few seconds more")
        assert_share(client.between(arrived, time.time()), 0)
    assert client.failures() == []
    assert shop.spec == original
    states = shop.stack.query("SELECT state FROM migrator_step WHERE plan_id = %s", shop.plan)
    assert {row["state"] for row in states} == {"rolled_back"}
    [retreat] = shop.stack.query("SELECT * FROM migrator_retreat WHERE plan_id = %s", shop.plan)
    assert retreat["ended_at"] is not None
    assert retreat["stopped_because"] == ""


def test_a_new_version_that_answers_errors_goes_back_by_itself(shop: Shop) -> None:
    """The client's failures stay within the share that the step exposed."""
    shop.make_plan(10, least_requests=20)
    original = shop.spec
    shop.break_new_side(broken=True)
    with Client(shop.facts.shop_url, shop.facts.shop_host) as client:
        began = time.time()
        row = shop.await_state(shop.start(10), "returned", within_s=90)
        back = time.time() + SETTLED_S
        wait_until(lambda: time.time() > back + 8, within_s=20, what="a few seconds more")
    assert row["reason"].startswith("By itself: "), row["reason"]
    assert "server errors" in row["reason"]
    assert shop.spec == original
    exposed = client.between(began, back)
    failed = len(client.failures(began, back))
    assert 0 < failed <= 0.1 * len(exposed) + 5 * (0.09 * len(exposed)) ** 0.5
    assert client.failures(back) == [], "nothing fails once it is back"


def test_row_46_the_worker_is_killed_while_the_new_side_answers_errors(shop: Shop) -> None:
    """Nobody conducts it any more: the watchdog has the former weights back within lease + 10 s."""
    shop.make_plan(10, watch_s=300)
    original = shop.spec
    with Client(shop.facts.shop_url, shop.facts.shop_host) as client:
        attempt = shop.start(10)
        shop.await_state(attempt, "judging", within_s=60)
        shop.stack.pause("worker-steps")
        shop.break_new_side(broken=True)
        wait_until(client.failures, within_s=20, what="the client meets errors", every_s=0.1)
        shop.stack.kill("worker-steps")
        killed = time.time()
        wait_until(
            lambda: shop.percent == 0,
            within_s=LEASE_S + 10,
            what="the former weights",
            every_s=0.2,
        )
        took = time.time() - killed
    row = shop.await_state(attempt, "returned", within_s=60)
    assert took <= LEASE_S + 10
    assert "watchdog" in row["reason"]
    assert shop.spec == original


def test_somebody_elses_weights_are_left_alone(shop: Shop) -> None:
    shop.make_plan(10, watch_s=120)
    with Client(shop.facts.shop_url, shop.facts.shop_host):
        attempt = shop.start(10)
        shop.await_state(attempt, "judging", within_s=60)
        shop.set_percent(25)
        row = shop.await_state(attempt, "return_stuck", within_s=60)
        assert "Somebody else changed the weights" in row["reason"]
        assert shop.percent == 25
        shop.set_percent(0)
        shop.await_state(attempt, "returned", within_s=90)


def test_legacy_that_does_not_answer_is_told_and_holds_the_next_step(shop: Shop) -> None:
    shop.make_plan(1)
    assert shop.vera.post(f"/plans/{shop.plan}/rope/") == 200
    assert "within reach" in shop.vera.get(f"/plans/{shop.plan}/")[1]
    legacy = _legacy_process(shop.facts)
    os.kill(legacy, signal.SIGSTOP)
    try:
        assert shop.vera.post(f"/plans/{shop.plan}/rope/") == 200
        page = shop.vera.get(f"/plans/{shop.plan}/")[1]
        assert "Not within reach: legacy did not answer" in page
        assert 'data-code="not_within_reach"' in page
        shop.erik.post(f"/steps/{shop.steps[1]}/start/")
        assert shop.live() is None, "it is held"
    finally:
        os.kill(legacy, signal.SIGCONT)
    assert shop.vera.post(f"/plans/{shop.plan}/rope/") == 200
    assert 'data-code="not_within_reach"' not in shop.vera.get(f"/plans/{shop.plan}/")[1]


def _legacy_process(facts: RangeFacts) -> int:
    """The pid of the shop's legacy half on this machine."""
    address = f"SHOP_ADDR={urlsplit(facts.legacy_url).netloc}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"SHOP_NAME=legacy" in environment and address in environment:
            return int(entry.name)
    raise AssertionError("the legacy shop does not run")
