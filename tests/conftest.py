"""Plumbing that every test can use."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db.models.signals import post_migrate

from config.stack.binaries import copy_binaries
from config.stack.processes import start_ticks
from tests.settings import POSTGRES, TEST_DIR

pytest_plugins = [
    "tests.practice.plugin",
    "tests.stack.browser",
    "tests.stack.fixtures",
    "tests.migrator.real_shop",
]

NEVER_SKIPPED = ("range", "browser", "services")
SIMULATED = ("tests/simulator/", "tests/mutations/")
"""They want a processor and have clocks of their own; `simulated` is for `scripts/test.sh`."""
RANGE_UP_S = 40 * 60
"""A cold build of every Kubernetes component on two busy cores, and the raise."""


@pytest.fixture(scope="session")
def postgres() -> Iterator[None]:
    """An embedded PostgreSQL for this session, started when the first test needs one."""
    _remove_dead_sessions()
    TEST_DIR.mkdir(mode=0o711)
    log = TEST_DIR / "postgres.log"
    try:
        copy_binaries(POSTGRES.binaries)
        POSTGRES.prepare()
        server = POSTGRES.start(log)
        try:
            POSTGRES.await_ready(timeout_s=30, log=log)
            yield
        finally:
            server.terminate()
            server.wait(timeout=30)
    finally:
        shutil.rmtree(TEST_DIR)


def _remove_dead_sessions() -> None:
    """Files of sessions that were killed; their servers ended with them."""
    for directory in TEST_DIR.parent.glob("belay-test-*"):
        pid = directory.name.rpartition("-")[2]
        if pid.isdigit() and start_ticks(int(pid)) is None:
            shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> None:
    """Tests with transactions of their own empty every table when they end; what the migrations
    brought comes back at once, as the content types do."""
    post_migrate.connect(_bring_templates, sender=apps.get_app_config("migrator"))


def _bring_templates(**_: object) -> None:
    if not apps.get_model("migrator", "PlanTemplate").objects.exists():
        import_module("migrator.migrations.0008_first_templates").make(apps, None)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres: None) -> None:
    """pytest-django asks for this before it makes the test database."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs nothing first, the browser last: the range is raised meanwhile."""
    for item in items:
        if item.nodeid.startswith(SIMULATED):
            item.add_marker("simulated")

    def turn(item: pytest.Item) -> int:
        if item.get_closest_marker("browser"):
            return 2
        return 1 if item.get_closest_marker("range") else 0

    items.sort(key=turn)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> None:
    """Before the range is first used: wait for the raise that `make test` began beside us."""
    result = os.environ.get("BELAY_TEST_RANGE_RESULT")
    if fixturedef.argname != "practice_range" or not result:
        return
    path, give_up_at = Path(result), time.monotonic() + RANGE_UP_S
    while not path.exists():
        if time.monotonic() > give_up_at:
            pytest.exit(f"the practice range was not up within {RANGE_UP_S} s", returncode=3)
        time.sleep(0.5)
    if path.read_text().strip() != "0":
        last = "\n".join(path.with_name("range.log").read_text().splitlines()[-15:])
        pytest.exit(f"the practice range could not be raised:\n{last}", returncode=3)


class NothingSkipped:
    """In `make test`, a range or browser test that was skipped or not even found is a failure:
    nothing was proved."""

    def __init__(self) -> None:
        self.skipped: list[str] = []
        self.ran: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        marked = [name for name in NEVER_SKIPPED if name in report.keywords]
        if report.skipped and marked:
            self.skipped.append(report.nodeid)
        elif report.when == "call":
            self.ran.update(marked)

    @property
    def complaints(self) -> list[str]:
        return [
            *(f"skipped, and so failed: {nodeid}" for nodeid in self.skipped),
            *(f"no test marked {name!r} ran" for name in NEVER_SKIPPED if name not in self.ran),
        ]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.complaints and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for complaint in self.complaints:
            terminalreporter.write_line(complaint, red=True)


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("BELAY_TEST_ALL") == "1":
        config.pluginmanager.register(NothingSkipped())
