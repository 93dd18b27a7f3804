"""The stage of all schedules, and the coverage table at the end of the session."""

from __future__ import annotations

import pytest

from tests.simulator import coverage
from tests.simulator.stage import stage

__all__ = ["stage"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if coverage.PLAYED:
        terminalreporter.section("simulator: what went wrong × in which state of the row")
        for line in coverage.table():
            terminalreporter.write_line(line)
