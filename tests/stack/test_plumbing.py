"""The plumbing of `make test` itself: what must never pass in silence."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tests.conftest as plumbing
from config.stack.layout import CHECKOUT
from config.stack.processes import processes_of
from tests.settings import TEST_DIR
from tests.stack.running import clean_environment, wait_until

pytestmark = pytest.mark.long

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.mark.range
def test_range():
    {range_body}

@pytest.mark.browser
def test_browser():
    pass

@pytest.mark.services
def test_services():
    pass
"""
CONFTEST = f"""
import sys
sys.path.insert(0, {str(Path(plumbing.__file__).parents[1])!r})
from tests.conftest import NothingSkipped

def pytest_configure(config):
    for name in ("range", "browser", "services"):
        config.addinivalue_line("markers", name)
    config.pluginmanager.register(NothingSkipped())
"""


@pytest.mark.parametrize(
    ("range_body", "arguments", "status", "line"),
    [
        ("pass", [], 0, "*3 passed*"),
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


KILLED = """
import os, signal
from tests.settings import POSTGRES, TEST_DIR
from config.stack.binaries import copy_binaries

TEST_DIR.mkdir(mode=0o711)
copy_binaries(POSTGRES.binaries)
POSTGRES.prepare()
log = TEST_DIR / "postgres.log"
POSTGRES.start(log)
POSTGRES.await_ready(timeout_s=60, log=log)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_session_leaves_no_server() -> None:
    session = subprocess.Popen(
        [sys.executable, "-c", KILLED],
        cwd=CHECKOUT,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    _, complaint = session.communicate(timeout=200)
    assert session.returncode == -signal.SIGKILL, complaint
    directory = TEST_DIR.with_name(f"belay-test-{session.pid}")
    assert (directory / "postgres" / "PG_VERSION").exists()
    wait_until(
        lambda: not processes_of(directory, marker="none"), within_s=60, what="PostgreSQL ended"
    )
    shutil.rmtree(directory)
