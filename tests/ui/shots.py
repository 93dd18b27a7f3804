"""Pictures of every page, desktop and phone, light and dark, to be looked at by people.

Not collected by default: `.venv/bin/pytest tests/ui/shots.py` leaves them in build/screens/ui/.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from core.models import EmergencyStop
from gamedays.choices import FindingStatus, InjectionState, Outcome, Verdict
from migrator.models import Wave
from tests.migrator.overview_world import make_company
from tests.migrator.people import make_attempt, make_plans
from tests.people import API, book, make_cast
from tests.ui import factories

os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"

OUT = Path("build/screens/ui")
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZES = {"desktop": (1440, 900), "phone": (360, 740)}
ONLY = os.environ.get("SHOTS", "")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path="/usr/bin/chromium", args=ARGS)
        yield browser
        browser.close()


def _shoot(
    browser: Browser, base: str, paths: dict[str, str], username: str | None = "lea"
) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    context = browser.new_context()
    page = context.new_page()
    page.on("console", lambda message: print("console:", message.text))
    page.on("pageerror", lambda error: print("page error:", error))
    if username:
        page.goto(f"{base}/login/")
        page.fill("#id_username", username)
        page.fill("#id_password", "rope and harness")
        page.get_by_test_id("login").click()
        page.wait_for_url(f"{base}/")
    for title, path in paths.items():
        if ONLY and title not in ONLY.split(","):
            continue
        page.goto(f"{base}{path}")
        if page.locator("[data-samples]").count():
            page.locator("[data-samples] canvas").first.wait_for()
        for size, (width, height) in SIZES.items():
            page.set_viewport_size({"width": width, "height": height})
            for theme in ("light", "dark"):
                page.emulate_media(color_scheme=theme)
                page.wait_for_timeout(120)
                page.screenshot(path=OUT / f"{title}-{size}-{theme}.png", full_page=True)
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                print(f"SIDEWAYS SCROLL: {title} {size}")
    context.close()


@pytest.mark.django_db(transaction=True)
def test_quiet(live_server: Any, browser: Browser) -> None:
    make_cast()
    factories.make_setup()
    _shoot(browser, live_server.url, {"login": "/login/"}, username=None)
    paths = {
        "week-new": "/",
        "clusters": "/clusters/",
        "book-empty": "/gamedays/book/",
        "findings-empty": "/findings/",
        "services-empty": "/services/",
        "lost": "/nowhere/",
    }
    _shoot(browser, live_server.url, paths)


@pytest.mark.django_db(transaction=True)
def test_live(live_server: Any, browser: Browser) -> None:
    cast = make_cast()
    probes = factories.make_probes(cast)
    run = factories.make_run(cast, InjectionState.ACTIVE, scenario=API, ago_s=58)
    factories.make_samples(run, probes, api_away=True, ahead_s=25)
    factories.make_pods(run, fates=False)
    paths = {"run-live": f"/runs/{run.pk}/", "week-live": "/"}
    _shoot(browser, live_server.url, paths)


@pytest.mark.django_db(transaction=True)
def test_over(live_server: Any, browser: Browser) -> None:
    cast = make_cast()
    probes = factories.make_probes(cast)
    run = factories.make_run(
        cast,
        ago_s=90_000,
        verdict=Verdict.BROKE,
        judgement=factories.BROKE,
        reason="API reads through the common address broke their bound: 66.7% passed.",
    )
    factories.make_samples(run, probes)
    factories.make_pods(run)
    finding = factories.make_finding(cast, run, status=FindingStatus.FIX_READY, drafted=False)
    second = factories.make_run(cast, ago_s=80_000, verdict=Verdict.BROKE)
    factories.make_fix(cast, finding)
    factories.make_verification(cast, finding, second, Outcome.RECURS, None)
    factories.make_finding(cast, run, title="Contour stays away for minutes after the API is back")
    gameday = book(cast, starts_in=dt.timedelta(hours=30), duration_min=60)
    paths = {
        "run-over": f"/runs/{run.pk}/",
        "week": "/",
        "gamedays": "/gamedays/",
        "gameday": f"/gamedays/{gameday.pk}/",
        "book": "/gamedays/book/?scenario=etcd-member-down",
        "findings": "/findings/",
        "board": "/findings/?view=board",
        "finding": f"/findings/{finding.pk}/",
        "edit": f"/findings/{finding.pk}/edit/",
        "scenarios": "/scenarios/",
        "scenario": "/scenarios/etcd-member-down/",
        "cluster": "/clusters/qa-range/",
        "you": "/you/",
    }
    _shoot(browser, live_server.url, paths)


@pytest.mark.django_db(transaction=True)
def test_stopped(live_server: Any, browser: Browser) -> None:
    cast = make_cast()
    reason = "qa-2: the guard on qa-2 gave no answer to undo within 2 s."
    run = factories.make_run(cast, InjectionState.UNDO_STUCK, reason=reason)
    paths = {"by-hand": f"/runs/{run.pk}/by-hand/", "emergency-off": "/emergency/"}
    _shoot(browser, live_server.url, paths)
    EmergencyStop.objects.create(set_by=cast.erik, why="The shop answers 503 since 14:02.")
    paths = {"emergency": "/emergency/", "week-stopped": "/"}
    _shoot(browser, live_server.url, paths)


@pytest.mark.django_db(transaction=True)
def test_plans(live_server: Any, browser: Browser) -> None:
    cast = make_cast()
    factories.make_inventory(cast)
    shop, live = make_plans(cast)
    paths = {
        "plans": "/plans/",
        "plan": f"/plans/{shop.plan.pk}/",
        "step-edit": f"/steps/{shop.step(50).pk}/edit/",
        "step-new": f"/plans/{shop.plan.pk}/steps/new/",
        "templates": "/templates/",
        "plan-production": f"/plans/{live.pk}/",
        "plan-clone": f"/plans/{shop.plan.pk}/clone/",
        "step-traffic": f"/plans/{shop.plan.pk}/steps/new/?kind=traffic",
        "template": "/templates/by-hand/",
        "template-step": "/templates/by-hand/steps/1/",
        "freezes": "/freezes/",
        "envoys": "/clusters/qa-range/envoys/",
        "plan-new": "/services/shop/plan/",
        "service": "/services/shop/",
    }
    _shoot(browser, live_server.url, paths)
    attempt = make_attempt(shop)
    _shoot(browser, live_server.url, {"attempt": f"/attempts/{attempt.pk}/"})
    _shoot(browser, live_server.url, {"policy": "/rehearsal-policy/"}, username="olga")


@pytest.mark.django_db(transaction=True)
def test_overview(live_server: Any, browser: Browser) -> None:
    cast = make_cast()
    _shoot(browser, live_server.url, {"overview-empty": "/migrations/", "waves-empty": "/waves/"})
    make_company(cast)
    wave = Wave.objects.get(name="Wave 1: reading")
    paths = {
        "overview": "/migrations/",
        "blocked": "/migrations/blocked/",
        "blocked-one": "/migrations/blocked/?code=rehearsal_stale",
        "burn-up": "/migrations/burn-up/",
        "report": "/migrations/report/",
        "waves": "/waves/",
        "wave": f"/waves/{wave.pk}/",
        "wave-edit": f"/waves/{wave.pk}/edit/",
        "services-moving": "/services/?stage=on_qa",
        "week-migrations": "/",
    }
    _shoot(browser, live_server.url, paths)
