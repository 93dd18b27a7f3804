"""The stage of all schedules, and the tables at the end of the session.

What each test saw travels with its report, so that the tables are whole when tests ran on several
cores, each in a process of its own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.simulator import coverage
from tests.simulator.stage import stage

__all__ = ["stage"]


@pytest.fixture(autouse=True)
def _told(request: pytest.FixtureRequest) -> Iterator[None]:
    """What this test played is written on its report."""
    before = coverage.snapshot()
    yield
    request.node.user_properties.append(("played", json.dumps(coverage.since(before))))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = Counter[str]()
    crashes = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") != "teardown":
                continue
            for name, value in report.user_properties:
                if name == "played":
                    told.update(json.loads(value))
                elif name == "crashes":
                    crashes.append(value)
    if crashes:
        terminalreporter.section("simulator: the conductor broken at every kind of step")
        for line in crashes:
            terminalreporter.write_line(line)
    if told:
        terminalreporter.section("simulator: what went wrong × in which state of the row")
        for line in coverage.table(told) if any("/" in key for key in told) else ():
            terminalreporter.write_line(line)
        terminalreporter.write_line(coverage.ends(told))
