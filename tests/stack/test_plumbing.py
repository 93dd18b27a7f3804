"""The plumbing of `make test` itself: what must never pass in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

import tests.conftest as plumbing

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.mark.range
def test_range():
    {range_body}

@pytest.mark.browser
def test_browser():
    pass
"""
CONFTEST = f"""
import sys
sys.path.insert(0, {str(Path(plumbing.__file__).parents[1])!r})
from tests.conftest import NothingSkipped

def pytest_configure(config):
    for name in ("range", "browser"):
        config.addinivalue_line("markers", name)
    config.pluginmanager.register(NothingSkipped())
"""


@pytest.mark.parametrize(
    ("range_body", "arguments", "status", "line"),
    [
        ("pass", [], 0, "*2 passed*"),
        ("pytest.skip('no root')", [], 1, "skipped, and so failed: *::test_range"),
        ("pass", ["-k", "browser"], 1, "no test marked 'range' ran"),
    ],
)
def test_a_skipped_range_test_fails_the_whole_run(
    pytester: pytest.Pytester, range_body: str, arguments: list[str], status: int, line: str
) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS.format(range_body=range_body))
    result = pytester.runpytest_subprocess("-p", "no:django", *arguments)
    assert result.ret == status
    result.stdout.fnmatch_lines([line])
