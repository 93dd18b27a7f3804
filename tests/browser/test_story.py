"""The whole loop, in a real browser, on a real cluster: break, find, fix, break again, prove."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect

from config.stack.layout import CHECKOUT
from practice.facts import RangeFacts
from tests.browser.people import (
    await_attempt,
    await_state,
    await_verdict,
    book,
    log_in,
    open_plan,
    run_id,
    start,
    start_step,
    step_card,
)
from tests.migrator.real_shop import RealShop
from tests.stack.browser import SCREENS, Screenshot
from tests.stack.running import RunningStack, wait_until

pytestmark = [pytest.mark.range, pytest.mark.browser, pytest.mark.timeout(1800)]
WEAKNESS = "api-proxy-health-check"
NODE = "qa-2"
HOLD_S = 40
RECOVERY_S = 300
"""A kubelet whose API server lost its etcd took 130 s to start it again, and that API server
another 95 s to come back (both measured)."""


def range_command(facts: RangeFacts, *arguments: str) -> None:
    """The one command that a player reads in the range's README."""
    subprocess.run(
        [sys.executable, "manage.py", "range", *arguments, "--name", facts.name],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        timeout=120,
    )


@pytest.fixture
def unfixed(practice_range: RangeFacts) -> Iterator[RangeFacts]:
    """The range with its weakness, before and after."""
    range_command(practice_range, "fix", WEAKNESS, "--undo")
    yield practice_range
    range_command(practice_range, "fix", WEAKNESS, "--undo")


def test_find_fix_and_prove(
    new_page: Callable[[], Page],
    stack: RunningStack,
    unfixed: RangeFacts,
    real_shop: RealShop,
    screenshot: Screenshot,
) -> None:
    real_shop.make_plan(1)
    page = log_in(new_page(), stack, "lea")
    screenshot(page, "01-this-week")
    book(
        page,
        "etcd-member-down",
        title="One etcd member away: does anybody notice?",
        node=NODE,
        hold_s=HOLD_S,
        observe_s=20,
    )
    screenshot(page, "02-booked")
    start(page)
    await_state(page, "active", within_s=60)
    expect(page.get_by_test_id("strip-line").first).to_have_attribute("data-state", "active")
    # The page shows by itself that some reads fail, while the fault is live.
    during = page.locator("[data-testid=probe][data-probe='api-read'] [data-label=During]")
    expect(during).to_have_text(re.compile(r"^\s*[3-8]\d(\.\d)?%\s*$"), timeout=HOLD_S * 1000)
    page.screenshot(path=SCREENS / "live-run.png")
    screenshot(page, "03-fault-live")
    await_state(page, "observing", within_s=HOLD_S + RECOVERY_S)
    await_verdict(page, "broke", within_s=60)
    screenshot(page, "04-broke")

    # A third of the reads failed, and the finding says so with its evidence.
    reads = page.locator("[data-testid=judgement][data-key='api-reads:api-read']")
    expect(reads).to_have_attribute("data-result", "broke")
    judged = judgement(stack, run_id(page))["api-reads:api-read"]
    failed = 1 - judged["passed"] / judged["attempts"]
    assert 0.15 < failed < 0.55, judged
    page.get_by_test_id("finding-link").filter(has_text="API reads fail").click()
    expect(page.get_by_test_id("symptom")).to_contain_text("99")
    finding = page.url
    assert_status(page, "open")
    screenshot(page, "05-finding-drafted")
    page.get_by_test_id("edit-finding").click()
    page.get_by_label("Why").first.fill("The proxy believes that an open port is a healthy server.")
    page.get_by_label("Severity").select_option("high")
    page.get_by_test_id("save-finding").click()
    expect(page).to_have_url(finding)

    # So severe a finding on the cluster holds the shop's next step, and says what clears it.
    open_plan(page, stack, real_shop.plan)
    held = gate_of(page, finding)
    expect(held).to_contain_text("is not proved fixed")
    screenshot(page, "10-step-held")
    step_card(page, 1).get_by_test_id("start-step").click()
    expect(page.get_by_test_id("plan-state")).to_have_attribute("data-state", "quiet")
    assert real_shop.live() is None, "a step went ahead against a blocking finding"
    held.get_by_role("link").click()
    expect(page).to_have_url(finding)

    # Re-verify before the fix: it recurs, and nothing is closed.
    re_verify(page, finding, outcome="recurs")
    assert_status(page, "open")
    screenshot(page, "06-recurs")

    # The documented fix, written down, and the proof.
    range_command(unfixed, "fix", WEAKNESS)
    page.get_by_test_id("open-fix").click()
    page.get_by_label("What was done").fill("The proxy's health check asks /readyz.")
    page.get_by_test_id("record-fix").click()
    assert_status(page, "fix_ready")
    re_verify(page, finding, outcome="does_not_recur")
    assert_status(page, "verified_fixed")
    screenshot(page, "07-verified-fixed")

    # Proved fixed: it holds the step no longer. What else the runs may have found (a pod that a
    # slow machine brought back late is a severe finding, too) is not what this story is about.
    open_plan(page, stack, real_shop.plan)
    expect(page.get_by_test_id("step").first).to_be_visible()
    expect(held).to_have_count(0)
    real_shop.lower_findings()
    open_plan(page, stack, real_shop.plan)
    start_step(page, 1)
    await_attempt(page, "judging", within_ms=60_000)
    page.get_by_test_id("turn-round").click()
    await_attempt(page, "returned", within_ms=60_000)


def test_abort_while_all_api_servers_are_held(
    new_page: Callable[[], Page],
    stack: RunningStack,
    practice_range: RangeFacts,
    screenshot: Screenshot,
) -> None:
    page = log_in(new_page(), stack, "lea")
    book(page, "api-servers-down", title="All API servers away", hold_s=120, observe_s=20)
    start(page)
    await_state(page, "active", within_s=60)
    address = page.url

    # Somebody else opens the run, and may end it though she may only watch.
    vera = log_in(new_page(), stack, "vera")
    vera.goto(address)
    expect(vera.get_by_test_id("api-away")).to_be_visible(timeout=15_000)
    screenshot(vera, "08-api-away")
    vera.get_by_test_id("abort").click()
    expect(vera.get_by_test_id("abort-state")).to_be_visible(timeout=5_000)
    await_state(page, "observing", within_s=RECOVERY_S)
    await_verdict(page, "inconclusive", within_s=60)
    screenshot(page, "09-aborted")

    row = stack.query(
        "SELECT abort_requested_at, undo_asked_at, bitten_at, reason FROM gamedays_injection "
        "WHERE id = %s",
        run_id(page),
    )[0]
    assert (row["undo_asked_at"] - row["abort_requested_at"]).total_seconds() <= 2
    assert "Aborted by Vera" in row["reason"]
    traffic = judgement(stack, run_id(page))["traffic:shop"]
    assert traffic["attempts"] > 20
    assert traffic["passed"] == traffic["attempts"], "the shop's traffic was harmed"


def judgement(stack: RunningStack, injection: str) -> dict[str, dict[str, int]]:
    rows = stack.query("SELECT judgement FROM gamedays_injection WHERE id = %s", injection)
    lines = rows[0]["judgement"]
    lines = json.loads(lines) if isinstance(lines, str) else lines
    return {line["key"]: line["measured"] for line in lines}


def re_verify(page: Page, finding: str, *, outcome: str) -> None:
    """Ask, watch the run to its end, and come back to the finding."""
    page.goto(finding)
    before = page.get_by_test_id("verification").count()
    page.get_by_test_id("re-verify").click()
    wait_until(lambda: "/runs/" in page.url, within_s=15, what="the run's page is shown")
    await_state(page, "clean", within_s=HOLD_S + RECOVERY_S + 60)
    page.goto(finding)
    verifications = page.get_by_test_id("verification")
    expect(verifications).to_have_count(before + 1)
    expect(verifications.first).to_have_attribute("data-outcome", outcome)


def gate_of(page: Page, finding: str) -> Locator:
    """What the plan's page says of this one finding, where it holds the next step."""
    link = page.locator(f"a[href='{urlsplit(finding).path}']")
    return page.locator("[data-testid=gate][data-code=blocking_finding]").filter(has=link)


def assert_status(page: Page, status: str) -> None:
    expect(page.get_by_test_id("finding-status")).to_have_attribute("data-status", status)
