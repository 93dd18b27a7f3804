"""The practice shop's plan, for tests that move it on the real range."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from practice.facts import RangeFacts
from tests.faults.nodes import ClusterLook
from tests.faults.person import Person
from tests.stack.running import RunningStack, wait_until

WATCH_S = 20
SETTLED_S = 2.0
"""After a change was seen to stand, until every Envoy has it."""
FINAL = ("step_done", "returned", "step_refused", "returned_by_hand")
ROUTE = ("httpproxy", "shop", "-n", "shop")
SERVICE = ("service", "shop", "-n", "shop")
_LOWER = """
import json
from gamedays.choices import Severity
from gamedays.models import Finding

found = Finding.objects.filter(cluster__name="qa-range")
print(json.dumps(found.update(severity=Severity.LOW)))
"""
_PLAN = """
import json
from core.models import Cluster, User
from migrator.models import Plan, Service
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


class RealShop:
    """The shop's plan on the range, driven by people at the pages."""

    def __init__(self, stack: RunningStack, facts: RangeFacts) -> None:
        self.stack, self.facts = stack, facts
        self.look = ClusterLook.of(facts)
        self.erik = Person(stack.base_url, "erik", stack.password)
        self.vera = Person(stack.base_url, "vera", stack.password)
        self.plan, self.steps = 0, dict[int, int]()

    def lower_findings(self) -> None:
        """What other tests and runs found on this cluster is not to hold a step in this one."""
        self.stack.shell.run(_LOWER)

    def make_plan(self, *percents: int, **parameters: object) -> None:
        self.lower_findings()
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
def real_shop(stack: RunningStack, practice_range: RangeFacts) -> Iterator[RealShop]:
    """The shop, all of its requests on legacy. Afterwards its route and Service are as before."""
    found = RealShop(stack, practice_range)
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
