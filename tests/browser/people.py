"""What people do in the browser, one verb each."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.stack.running import RunningStack

STATE_MS = 30_000


def log_in(page: Page, stack: RunningStack, who: str) -> Page:
    page.goto(f"{stack.base_url}/login/")
    page.get_by_label("Username").fill(who)
    page.get_by_label("Password").fill(stack.password)
    page.get_by_test_id("login").click()
    expect(page).to_have_url(f"{stack.base_url}/")
    return page


def book(page: Page, scenario: str, *, title: str, **parameters: int | str) -> None:
    """From *This week* to a booked gameday with one fault; ends on the gameday's page."""
    page.get_by_role("link", name="This week").first.click()
    page.get_by_test_id("book").click()
    page.get_by_label("Title").fill(title)
    page.get_by_test_id(f"add-{scenario}").click()
    item = page.get_by_test_id("agenda-item")
    expect(item).to_have_attribute("data-scenario", scenario)
    for name, value in parameters.items():
        field = item.locator(f"[name='agenda-0-{name}']")
        if field.evaluate("element => element.tagName") == "SELECT":
            field.select_option(str(value))
        else:
            field.fill(str(value))
    page.get_by_test_id("book-gameday").click()
    expect(page).to_have_url(re.compile(r"/gamedays/\d+/$"))


def start(page: Page) -> None:
    """Start the fault; ends on the live run's page."""
    page.get_by_test_id("start").click()
    expect(page).to_have_url(re.compile(r"/runs/[0-9a-f-]+/$"))


def await_state(page: Page, state: str, *, within_s: float) -> None:
    """Wait until the page shows it by itself: nothing is reloaded."""
    shown = page.get_by_test_id("run-state")
    expect(shown).to_have_attribute("data-state", state, timeout=within_s * 1000)


def await_verdict(page: Page, verdict: str, *, within_s: float) -> None:
    mark = page.get_by_test_id("verdict")
    mark.wait_for(timeout=within_s * 1000)
    expect(mark).to_have_attribute("data-verdict", verdict)


def run_id(page: Page) -> str:
    found = re.search(r"/runs/([0-9a-f-]+)/", page.url)
    assert found, page.url
    return found.group(1)


def open_plan(page: Page, stack: RunningStack, plan: int) -> None:
    page.goto(f"{stack.base_url}/plans/{plan}/")


def step_card(page: Page, percent: int) -> Locator:
    return page.locator(f"[data-testid=step][data-key='to-{percent}']")


def start_step(page: Page, percent: int) -> None:
    """From the plan's page to the page of the attempt."""
    step_card(page, percent).get_by_test_id("start-step").click()
    expect(page).to_have_url(re.compile(r"/attempts/[0-9a-f-]+/$"))


def await_attempt(page: Page, state: str, *, within_ms: int) -> None:
    """Wait until the page shows it by itself: nothing is reloaded."""
    shown = page.get_by_test_id("attempt-state")
    expect(shown).to_have_attribute("data-state", state, timeout=within_ms)
