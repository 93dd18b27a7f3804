"""The compose file: who is asked for their health, and who holds which key."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from django.conf import settings

from config.celery import app
from tests.guard.running import ROOT

QA, PRODUCTION = "BELAY_QA_CREDENTIALS_KEY", "BELAY_PRODUCTION_CREDENTIALS_KEY"
DEADLINE = "BELAY_DB_DEADLINE_S"
ORPHANS = "remove_orphaned_accounts"
TASKS = ("conduct", "look_for_due", ORPHANS)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
    return found


def test_everything_that_stays_up_is_asked_for_its_health(services: dict[str, Any]) -> None:
    lasting = {name for name, service in services.items() if service.get("restart") != "no"}
    assert {name for name in lasting if "healthcheck" not in services[name]} == set()


def test_nothing_that_stays_up_waits_for_ever_for_a_frozen_database(
    services: dict[str, Any],
) -> None:
    ours = {n: s for n, s in services.items() if "image" in s and s["image"] == "belay:local"}
    lasting = {name: s["environment"] for name, s in ours.items() if s.get("restart") != "no"}
    assert {name for name, environment in lasting.items() if DEADLINE not in environment} == set()


def test_the_fault_engine_never_holds_the_production_key(services: dict[str, Any]) -> None:
    holders = {n for n, service in services.items() if PRODUCTION in service.get("environment", {})}
    assert holders == {"worker-steps", "watchdog-steps", "owner"}
    assert "--only=steps" in services["watchdog-steps"]["command"]
    assert "--only=faults" in services["watchdog"]["command"]
    queues = {
        word.partition("=")[2]
        for word in services["worker-steps"]["command"]
        if str(word).startswith("--queues")
    }
    assert queues == {"steps"}, "no fault runs where the key is"


def test_a_short_task_never_waits_behind_a_fault(services: dict[str, Any]) -> None:
    route = app.amqp.router.route
    queues = {name: route({}, f"gamedays.tasks.{name}")["queue"].name for name in TASKS}
    assert queues == {"conduct": "faults", "look_for_due": "default", ORPHANS: "default"}
    looks: list[Any] = list(settings.CELERY_BEAT_SCHEDULE.values())
    assert all("queue" not in look["options"] for look in looks), "beat has no routes of its own"


def test_each_queue_has_a_worker(services: dict[str, Any]) -> None:
    taken = [
        queue
        for service in services.values()
        for word in service.get("command", [])
        if str(word).startswith("--queues=")
        for queue in word.partition("=")[2].split(",")
    ]
    assert sorted(taken) == ["default", "faults", "steps"]
