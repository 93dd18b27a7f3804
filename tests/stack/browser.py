"""A real Chromium for tests, and screenshots of what it shows."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize, sync_playwright

from config.stack.layout import CHECKOUT

SCREENS = CHECKOUT / "build" / "screens"
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 740}
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DEADLINE_MS = 15_000
_REQUEST_FAILED = (
    "Failed to load resource",
    "htmx:sendError",
    "htmx:timeout",
    "htmx:responseError",
    "htmx:afterRequest",
)

Screenshot = Callable[[Page, str], None]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; no browser is downloaded."""
    path = shutil.which("chromium")
    assert path, "Chromium is missing: `make test` installs it (Debian's package chromium)"
    # Playwright runs an event loop in this thread, and Django would refuse its database there.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def new_page(chromium: Browser) -> Iterator[Callable[[], Page]]:
    """Makes pages, each in a browser of its own (no shared cookies).

    Afterwards the test fails if a page raised a script error or broke the content policy.
    """
    complaints: list[str] = []
    contexts = []

    def note(message: ConsoleMessage) -> None:
        # A failed request is no script error: tests stop servers on purpose.
        if message.type == "error" and not message.text.startswith(_REQUEST_FAILED):
            complaints.append(message.text)

    def make() -> Page:
        context = chromium.new_context(viewport=DESKTOP, locale="en-GB", timezone_id="UTC")
        context.set_default_timeout(DEADLINE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    assert not complaints, "the browser complained: " + "\n".join(complaints)


@pytest.fixture
def page(new_page: Callable[[], Page]) -> Page:
    """One fresh page."""
    return new_page()


@pytest.fixture(scope="session")
def screenshot() -> Screenshot:
    """`screenshot(page, "week")` leaves build/screens/week-{desktop,phone}-{light,dark}.png."""
    return take_screenshots


def take_screenshots(page: Page, name: str, folder: Path = SCREENS) -> None:
    """The whole page in two sizes and two colour schemes; then as it was before."""
    folder.mkdir(parents=True, exist_ok=True)
    before = page.viewport_size
    for size, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
        page.set_viewport_size(viewport)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=folder / f"{name}-{size}-{scheme}.png", full_page=True)
    page.emulate_media(color_scheme="null")
    if before:
        page.set_viewport_size(before)
