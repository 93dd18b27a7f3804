"""The inventory in a real browser: search as one types, the whole CSV way without JavaScript."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from migrator.models import Service
from tests.people import Cast, make_cast
from tests.ui import factories
from tests.ui.test_in_browser import log_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    made = make_cast()
    factories.make_inventory(made)
    return made


def test_the_list_narrows_while_one_types(page: Page, live_server: Any, cast: Cast) -> None:
    log_in(page, live_server.url, "vera")
    page.goto(f"{live_server.url}/services/")
    rows = page.get_by_test_id("service")
    expect(rows).to_have_count(3)
    page.evaluate("window.unreloaded = true")
    search = page.get_by_label("Search services")
    search.press_sequentially("vault")
    expect(rows).to_have_count(1)
    expect(search).to_be_focused()
    expect(search).to_have_value("vault")
    expect(page).to_have_url(re.compile(r"text=vault"))
    export = page.get_by_role("link", name="Export CSV")
    expect(export).to_have_attribute("href", "/services/export/?text=vault")
    page.get_by_label("Still lacks").select_option("nothing")
    expect(rows).to_have_count(0)
    page.go_back()
    expect(rows).to_have_count(1)
    assert page.evaluate("window.unreloaded") is True


def test_a_dependency_is_added_by_a_name_that_is_offered(
    page: Page, live_server: Any, cast: Cast
) -> None:
    Service.objects.create(name="Mail", slug="mail", team=cast.team)
    log_in(page, live_server.url, "erik")
    page.goto(f"{live_server.url}/services/mail/")
    needs = page.get_by_label("Service that it needs")
    needs.press_sequentially("sho")
    expect(page.locator("#service-names option")).to_have_count(1)
    needs.fill("Shop")
    page.get_by_test_id("add-dependency").click()
    expect(page.get_by_test_id("needs")).to_contain_text("Shop")
    page.get_by_role("link", name="Show picture").click()
    box = page.get_by_role("link", name=re.compile(r"^Shop, tier 1"))
    box.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{live_server.url}/services/shop/")


def test_without_javascript_a_csv_goes_out_and_in(
    chromium: Browser, live_server: Any, cast: Cast, tmp_path: Path
) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = log_in(context.new_page(), live_server.url, "erik")
    page.goto(f"{live_server.url}/services/?text=shop")
    page.get_by_label("Search services").fill("prices")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_test_id("service")).to_have_count(1)
    page.goto(f"{live_server.url}/services/")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").click()
    file = tmp_path / "services.csv"
    download.value.save_as(file)

    page.get_by_role("link", name="Import CSV").click()
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_test_id("upload").click()
    expect(page.get_by_test_id("nothing-to-change")).to_be_visible()

    file.write_text(file.read_text("utf-8-sig").replace('"1"', '"2"'), "utf-8-sig")
    page.get_by_role("link", name="Upload another file").click()
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_test_id("upload").click()
    assert set(Service.objects.values_list("tier", flat=True)) == {1}
    page.get_by_test_id("confirm-import").click()
    expect(page.get_by_role("heading", name="services.csv is imported")).to_be_visible()
    assert set(Service.objects.values_list("tier", flat=True)) == {2}
    page.goto(f"{live_server.url}/services/new/")
    page.get_by_label("Name (needed)").fill("Mail")
    page.get_by_label("Kind of workload").select_option("Deployment")
    page.get_by_test_id("save-service").click()
    expect(page.get_by_test_id("form-errors")).to_be_visible()
    expect(page.get_by_label("Name (needed)")).to_have_value("Mail")
    context.close()
