"""The shop moves to Kubernetes and all the way back, in a real browser, with real requests."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.people import await_attempt, log_in, open_plan, start_step, step_card
from tests.migrator.real_shop import SETTLED_S, WATCH_S, RealShop
from tests.migrator.shop_client import Client, assert_share
from tests.stack.browser import Screenshot
from tests.stack.running import RunningStack, wait_until

pytestmark = [pytest.mark.range, pytest.mark.browser, pytest.mark.timeout(600, func_only=True)]
PERCENTS = (1, 10, 50, 100)
BEGUN_MS = 60_000
OVER_MS = (WATCH_S + 60) * 1000


def test_the_shop_goes_all_the_way_and_all_the_way_back(
    new_page: Callable[[], Page], stack: RunningStack, real_shop: RealShop, screenshot: Screenshot
) -> None:
    """The shares that arrive are the weights; no request fails; afterwards the route equals the one
    before, field by field."""
    real_shop.make_plan(*PERCENTS)
    original = real_shop.spec
    page = log_in(new_page(), stack, "erik")
    open_plan(page, stack, real_shop.plan)
    screenshot(page, "20-plan")
    with Client(real_shop.facts.shop_url, real_shop.facts.shop_host) as client:
        for percent in PERCENTS:
            start_step(page, percent)
            await_attempt(page, "judging", within_ms=BEGUN_MS)
            watched = time.time() + SETTLED_S
            if percent == 10:
                screenshot(page, "21-step-live")
            await_attempt(page, "step_done", within_ms=OVER_MS)
            assert real_shop.percent == percent
            assert_share(client.between(watched, time.time()), percent)
            # The page shows what Envoy counted on the new side: enough of them, and no error.
            row = page.get_by_role("row").filter(has_text="Kubernetes")
            assert int(row.get_by_test_id("kubernetes-requests").inner_text()) >= 5
            expect(row.locator("td").last).to_have_text("0")
            open_plan(page, stack, real_shop.plan)
        screenshot(page, "22-plan-done")
        step_card(page, PERCENTS[0]).get_by_test_id("roll-back").click()
        wait_until(lambda: real_shop.percent == 0, within_s=120, what="the original weights")
        expect(page.get_by_test_id("plan-state")).to_have_attribute(
            "data-state", "quiet", timeout=BEGUN_MS
        )
        arrived = time.time() + SETTLED_S
        wait_until(lambda: time.time() > arrived + 6, within_s=20, what="a few seconds more")
        assert_share(client.between(arrived, time.time()), 0)
    assert client.failures() == []
    assert real_shop.spec == original
    open_plan(page, stack, real_shop.plan)
    for percent in PERCENTS:
        expect(step_card(page, percent)).to_have_attribute("data-state", "rolled_back")
    screenshot(page, "23-plan-rolled-back")
    [retreat] = stack.query("SELECT * FROM migrator_retreat WHERE plan_id = %s", real_shop.plan)
    assert retreat["ended_at"] is not None
    assert retreat["stopped_because"] == ""
