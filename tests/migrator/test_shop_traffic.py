"""What breaks while the shop moves from its legacy machine to Kubernetes, on the real range.

All the way there and all the way back, in a browser: tests/browser/test_shop_moves.py.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from core.watchdog import LEASE_S
from practice.facts import RangeFacts
from tests.migrator.real_shop import SETTLED_S, RealShop
from tests.migrator.shop_client import Client
from tests.stack.running import wait_until

pytestmark = [pytest.mark.range, pytest.mark.timeout(600, func_only=True)]


def test_a_new_version_that_answers_errors_goes_back_by_itself(real_shop: RealShop) -> None:
    """The client's failures stay within the share that the step exposed."""
    real_shop.make_plan(10, least_requests=20)
    original = real_shop.spec
    real_shop.break_new_side(broken=True)
    with Client(real_shop.facts.shop_url, real_shop.facts.shop_host) as client:
        began = time.time()
        row = real_shop.await_state(real_shop.start(10), "returned", within_s=90)
        back = time.time() + SETTLED_S
        wait_until(lambda: time.time() > back + 8, within_s=20, what="a few seconds more")
    assert row["reason"].startswith("By itself: "), row["reason"]
    assert "server errors" in row["reason"]
    assert real_shop.spec == original
    exposed = client.between(began, back)
    failed = len(client.failures(began, back))
    assert 0 < failed <= 0.1 * len(exposed) + 5 * (0.09 * len(exposed)) ** 0.5
    assert client.failures(back) == [], "nothing fails once it is back"


def test_row_46_the_worker_is_killed_while_the_new_side_answers_errors(real_shop: RealShop) -> None:
    """Nobody conducts it any more: the watchdog has the former weights back within lease + 10 s."""
    real_shop.make_plan(10, watch_s=300)
    original = real_shop.spec
    with Client(real_shop.facts.shop_url, real_shop.facts.shop_host) as client:
        attempt = real_shop.start(10)
        real_shop.await_state(attempt, "judging", within_s=60)
        real_shop.stack.pause("worker-steps")
        real_shop.break_new_side(broken=True)
        wait_until(client.failures, within_s=20, what="the client meets errors", every_s=0.1)
        real_shop.stack.kill("worker-steps")
        killed = time.time()
        wait_until(
            lambda: real_shop.percent == 0,
            within_s=LEASE_S + 10,
            what="the former weights",
            every_s=0.2,
        )
        took = time.time() - killed
    row = real_shop.await_state(attempt, "returned", within_s=60)
    assert took <= LEASE_S + 10
    assert "watchdog" in row["reason"]
    assert real_shop.spec == original


def test_somebody_elses_weights_are_left_alone(real_shop: RealShop) -> None:
    real_shop.make_plan(10, watch_s=120)
    with Client(real_shop.facts.shop_url, real_shop.facts.shop_host):
        attempt = real_shop.start(10)
        real_shop.await_state(attempt, "judging", within_s=60)
        real_shop.set_percent(25)
        row = real_shop.await_state(attempt, "return_stuck", within_s=60)
        assert "Somebody else changed the weights" in row["reason"]
        assert real_shop.percent == 25
        real_shop.set_percent(0)
        real_shop.await_state(attempt, "returned", within_s=90)


def test_legacy_that_does_not_answer_is_told_and_holds_the_next_step(real_shop: RealShop) -> None:
    real_shop.make_plan(1)
    assert real_shop.vera.post(f"/plans/{real_shop.plan}/rope/") == 200
    assert "within reach" in real_shop.vera.get(f"/plans/{real_shop.plan}/")[1]
    legacy = _legacy_process(real_shop.facts)
    os.kill(legacy, signal.SIGSTOP)
    try:
        assert real_shop.vera.post(f"/plans/{real_shop.plan}/rope/") == 200
        page = real_shop.vera.get(f"/plans/{real_shop.plan}/")[1]
        assert "Not within reach: legacy did not answer" in page
        assert 'data-code="not_within_reach"' in page
        real_shop.erik.post(f"/steps/{real_shop.steps[1]}/start/")
        assert real_shop.live() is None, "it is held"
    finally:
        os.kill(legacy, signal.SIGCONT)
    assert real_shop.vera.post(f"/plans/{real_shop.plan}/rope/") == 200
    assert 'data-code="not_within_reach"' not in real_shop.vera.get(f"/plans/{real_shop.plan}/")[1]


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
