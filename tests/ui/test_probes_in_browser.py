"""Making and trying a probe with a browser, and with one that runs no script."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from gamedays.models import Probe
from tests.people import Cast, make_cast
from tests.ui.test_in_browser import log_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
NEW = "/clusters/qa-range/probes/new/"


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    return make_cast()


@pytest.fixture
def open_port(settings: Any) -> Iterator[int]:
    settings.BELAY_PROBE_ALLOW_LOOPBACK = True
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def test_a_probe_is_tried_corrected_and_added(
    cast: Cast, new_page: Callable[[], Page], live_server: Any, open_port: int
) -> None:
    page = log_in(new_page(), live_server.url)
    page.goto(f"{live_server.url}/clusters/qa-range/")
    page.get_by_test_id("add-probe").click()
    page.get_by_test_id("kind-tcp").click()
    page.get_by_label("Name").fill("Orders database")
    page.get_by_label("Host").fill("127.0.0.1")
    page.get_by_label("Port").fill("none")
    page.get_by_test_id("try-now").click()
    expect(page.get_by_text("is no whole number")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("Orders database")
    expect(page.get_by_test_id("try-now")).to_be_focused()
    page.get_by_label("Port").fill(str(open_port))
    page.get_by_test_id("try-now").click()
    expect(page.get_by_test_id("trial")).to_have_attribute("data-state", "passing")
    assert not Probe.objects.filter(title="Orders database").exists()
    page.get_by_label("Users feel it").check()
    page.get_by_test_id("save-probe").click()
    row = page.locator('[data-testid="probe-row"][data-probe="orders-database"]')
    expect(row).to_contain_text("users feel it")
    row.get_by_test_id("try-orders-database").click()
    expect(row.get_by_test_id("trial")).to_have_attribute("data-state", "passing")
    row.get_by_test_id("switch-orders-database").click()
    expect(row).to_contain_text("off")
    assert not Probe.objects.get(title="Orders database").enabled


def test_without_javascript_it_works_as_well(
    cast: Cast, chromium: Browser, live_server: Any, open_port: int
) -> None:
    context = chromium.new_context(java_script_enabled=False)
    try:
        page = log_in(context.new_page(), live_server.url)
        page.goto(f"{live_server.url}{NEW}?kind=tcp")
        page.get_by_label("Name").fill("Orders database")
        page.get_by_label("Host").fill("127.0.0.1")
        page.get_by_label("Port").fill(str(open_port))
        page.get_by_test_id("try-now").click()
        expect(page.get_by_test_id("trial")).to_have_attribute("data-state", "passing")
        # Enter in a field means save, not try.
        page.get_by_label("Port").press("Enter")
        expect(page.get_by_text("looks at qa-range from now on")).to_be_visible()
    finally:
        context.close()
    assert Probe.objects.get(title="Orders database").parameters["port"] == open_port
