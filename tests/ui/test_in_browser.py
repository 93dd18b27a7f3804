"""What only a browser shows: swaps, lost contact, no JavaScript, contrast, a narrow screen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from gamedays.choices import EntryKind, InjectionState, Verdict
from gamedays.models import Gameday, Injection, TimelineEntry
from migrator.operations.standings import refresh_services
from migrator.runners.registry import RUNNERS
from tests.migrator.people import make_attempt, make_plans, make_wave
from tests.people import API, Cast, book, make_cast
from tests.ui import factories

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

expect.set_options(timeout=15_000)
"""A machine that raises clusters meanwhile is slow; what is awaited is a condition."""

CONTRAST = """
() => {
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const rgb = (colour, under) => {
    pen.fillStyle = under; pen.fillRect(0, 0, 1, 1);
    pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (parts) => {
    const [r, g, b] = parts.map((part) => {
      const share = part / 255;
      return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (!/, 0\\)$|transparent/.test(colour)) return colour;
    }
    return "#fff";
  };
  const poor = [];
  const seen = "a, p, span, b, h1, h2, h3, dt, dd, li, td, th, label, button, summary, legend";
  for (const element of document.querySelectorAll(seen)) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.closest(".visually-hidden, .skip")) continue;
    const under = ground(element);
    const style = getComputedStyle(element);
    const [a, b] = [light(rgb(style.color, under)), light(rgb(under, "#fff"))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) {
      const text = element.textContent.trim().slice(0, 40);
      poor.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)} ${text}`);
    }
  }
  return poor;
}
"""


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    return make_cast()


def log_in(page: Page, base: str, who: str = "lea") -> Page:
    page.goto(f"{base}/login/")
    page.get_by_label("Username").fill(who)
    page.get_by_label("Password").fill("rope and harness")
    page.get_by_test_id("login").click()
    expect(page).to_have_url(f"{base}/")
    return page


def test_a_live_run_lives_without_a_reload(page: Page, live_server: Any, cast: Cast) -> None:
    run = factories.make_run(cast, InjectionState.ACTIVE, scenario=API)
    probes = factories.make_probes(cast)
    factories.make_samples(run, probes, api_away=True, ahead_s=60)
    log_in(page, live_server.url, "vera")
    page.goto(f"{live_server.url}/runs/{run.pk}/")
    chart = page.locator("#run-chart")
    expect(chart.locator("canvas").first).to_be_visible()
    expect(chart).to_have_css("height", "728px")
    for x in range(180, 260, 4):
        # The axis grows while we point at it: a pointer that rests may see nothing new.
        chart.hover(position={"x": x, "y": 78})
        if "passed" in chart.inner_text():
            break
    expect(chart).to_contain_text("Shop through Envoy: 1 of 1 passed")
    page.get_by_role("textbox", name="Note").fill("half a thought")
    page.evaluate("window.unreloaded = true")

    now = timezone.now()
    Injection.objects.filter(pk=run.pk).update(
        state=InjectionState.OBSERVING, undo_asked_at=now, undone_at=now, restored_at=now
    )
    TimelineEntry.objects.create(
        injection=run, at=now, kind=EntryKind.EVIDENCE, text="Restored.", data={}
    )
    expect(page.get_by_test_id("run-state")).to_have_attribute("data-state", "observing")
    expect(page.get_by_test_id("strip-line")).to_have_attribute("data-state", "observing")
    expect(page.locator("#announcer")).to_contain_text("Restored")
    expect(page.locator("#run-timeline")).to_contain_text("Restored.")
    expect(page.get_by_role("textbox", name="Note")).to_have_value("half a thought")

    Gameday.objects.update(state="done")
    Injection.objects.filter(pk=run.pk).update(
        state=InjectionState.CLEAN, ended_at=timezone.now(), verdict=Verdict.HELD
    )
    expect(page.get_by_test_id("verdict")).to_have_attribute("data-verdict", "held")
    expect(page.locator("#run-bar")).not_to_have_attribute("hx-trigger", "every 1s")
    assert page.evaluate("window.unreloaded") is True


def test_abort_is_one_click(page: Page, live_server: Any, cast: Cast) -> None:
    run = factories.make_run(cast, InjectionState.ACTIVE)
    log_in(page, live_server.url, "vera")
    page.get_by_test_id("strip-abort").click()
    expect(page.get_by_test_id("strip-line")).to_contain_text("Abort requested")
    run.refresh_from_db()
    assert run.abort_requested_by == cast.vera


def test_a_slow_press_on_abort_is_not_lost_to_a_swap(
    page: Page, live_server: Any, cast: Cast
) -> None:
    run = factories.make_run(cast, InjectionState.ACTIVE)
    log_in(page, live_server.url, "vera")
    page.goto(f"{live_server.url}/runs/{run.pk}/")
    box = page.get_by_test_id("abort").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    # Two polls come and go while the button is held down.
    for _ in range(2):
        with page.expect_response(lambda answer: "/live/" in answer.url):
            pass
    page.mouse.up()
    expect(page.get_by_test_id("abort-state")).to_have_attribute("data-state", "requested")


def test_without_javascript_it_still_works(chromium: Browser, live_server: Any, cast: Cast) -> None:
    run = factories.make_run(cast, InjectionState.ACTIVE)
    context = chromium.new_context(java_script_enabled=False)
    page = log_in(context.new_page(), live_server.url)
    page.goto(f"{live_server.url}/runs/{run.pk}/")
    page.get_by_test_id("abort").click()
    expect(page.get_by_test_id("abort-state")).to_have_attribute("data-state", "requested")
    page.goto(f"{live_server.url}/gamedays/book/")
    page.get_by_label("Title").fill("By hand")
    page.get_by_test_id("add-etcd-member-down").click()
    expect(page.get_by_label("Title")).to_have_value("By hand")
    page.get_by_test_id("book-gameday").click()
    expect(page.get_by_test_id("gameday-state")).to_have_attribute("data-state", "booked")
    context.close()


def test_a_page_that_hears_nothing_does_not_look_calm(
    chromium: Browser, live_server: Any, cast: Cast
) -> None:
    factories.make_run(cast, InjectionState.ACTIVE)
    # A page of its own: the failed requests are on purpose, and its console tells of them.
    context = chromium.new_context()
    page = log_in(context.new_page(), live_server.url)
    lost = page.locator("[data-lost]")
    expect(lost).to_be_hidden()
    page.route("**/strip/", lambda route: route.abort())
    expect(lost).to_be_visible()
    page.unroute("**/strip/")
    expect(lost).to_be_hidden()
    context.close()


def test_booking_by_htmx_keeps_what_was_typed(page: Page, live_server: Any, cast: Cast) -> None:
    log_in(page, live_server.url)
    page.get_by_test_id("book").click()
    page.get_by_label("Title").fill("Does anybody notice?")
    page.get_by_test_id("add-etcd-member-down").click()
    item = page.get_by_test_id("agenda-item")
    expect(item).to_have_count(1)
    expect(page.get_by_label("Title")).to_have_value("Does anybody notice?")
    expect(page.get_by_test_id("add-etcd-member-down")).to_be_focused()
    item.get_by_label("Hold").fill("600")
    page.get_by_label("Length, minutes").fill("5")
    page.get_by_label("Length, minutes").blur()
    expect(page.get_by_test_id("over-booked")).to_contain_text("5 are booked")
    page.get_by_test_id("book-gameday").click()
    expect(page.get_by_test_id("gameday-state")).to_have_attribute("data-state", "booked")


def test_the_theme_changes_at_once_and_stays(page: Page, live_server: Any, cast: Cast) -> None:
    log_in(page, live_server.url)
    page.locator(".person-menu > summary").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


@pytest.fixture
def addresses(cast: Cast) -> list[str]:
    """Every page, with something on it."""
    probes = factories.make_probes(cast)
    run = factories.make_run(cast, ago_s=9000, verdict=Verdict.BROKE, judgement=factories.BROKE)
    factories.make_samples(run, probes)
    factories.make_pods(run)
    finding = factories.make_finding(cast, run)
    factories.make_fix(cast, finding)
    factories.make_setup()
    live = factories.make_run(cast, InjectionState.ACTIVE, scenario=API)
    factories.make_samples(live, probes, api_away=True, ahead_s=60)
    gameday = book(cast, starts_in=dt.timedelta(days=1))
    wrong, right = factories.make_inventory(cast)
    shop, live_plan = make_plans(cast)
    wave = make_wave(cast, shop.service)
    attempt = make_attempt(shop)
    refresh_services()
    return [
        "/",
        "/gamedays/",
        "/gamedays/book/?scenario=etcd-member-down",
        f"/gamedays/{gameday.pk}/",
        f"/runs/{run.pk}/",
        f"/runs/{live.pk}/",
        "/findings/",
        "/findings/?view=board",
        f"/findings/{finding.pk}/",
        f"/findings/{finding.pk}/edit/",
        "/scenarios/",
        "/scenarios/etcd-member-down/",
        "/clusters/",
        "/clusters/qa-range/",
        "/clusters/qa-range/probes/new/",
        "/clusters/qa-range/probes/new/?kind=kubernetes_field",
        "/clusters/qa-range/probes/new/?kind=alert_expected",
        "/clusters/qa-range/metrics/",
        "/services/",
        "/services/?text=none&tier=1",
        "/services/shop/",
        "/services/shop/edit/",
        "/services/new/",
        "/services/graph/",
        "/services/graph/?focus=shop",
        "/services/import/",
        f"/services/import/{wrong.pk}/",
        f"/services/import/{right.pk}/",
        "/services/discover/",
        "/services/discover/qa-range/",
        "/services/discover/qa-range/link/?kind=Deployment&namespace=shop&name=prices",
        "/migrations/",
        "/migrations/?health=blocked&wave=none",
        "/migrations/blocked/",
        "/migrations/blocked/?code=unrehearsed",
        "/migrations/burn-up/",
        "/migrations/report/",
        "/waves/",
        "/waves/new/",
        f"/waves/{wave.pk}/",
        f"/waves/{wave.pk}/edit/",
        "/plans/",
        f"/plans/{shop.plan.pk}/",
        f"/plans/{live_plan.pk}/",
        f"/plans/{shop.plan.pk}/clone/",
        f"/plans/{shop.plan.pk}/steps/new/",
        *(f"/plans/{shop.plan.pk}/steps/new/?kind={kind}" for kind in RUNNERS),
        f"/steps/{shop.step(50).pk}/edit/",
        f"/attempts/{attempt.pk}/",
        "/services/shop/plan/",
        "/templates/",
        "/templates/by-hand/",
        "/templates/new/",
        "/templates/by-hand/steps/0/",
        "/freezes/",
        "/rehearsal-policy/",
        "/clusters/qa-range/envoys/",
        "/clusters/qa-range/proofs/",
        "/you/",
        "/nowhere/",
    ]


def test_every_page_fits_a_phone_and_can_be_read(
    new_page: Callable[[], Page], live_server: Any, addresses: list[str]
) -> None:
    page = log_in(new_page(), live_server.url)
    # Colours are measured when they have arrived, not on their way.
    page.emulate_media(reduced_motion="reduce")
    wide, poor = [], []
    for address in addresses:
        page.set_viewport_size({"width": 360, "height": 740})
        page.goto(f"{live_server.url}{address}")
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(address)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            poor += [f"{address} {scheme}: {each}" for each in page.evaluate(CONTRAST)]
    assert wide == [], "these pages scroll sideways at 360 px"
    assert poor == []
