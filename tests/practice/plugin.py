"""The practice range as a fixture for every test that is marked `range`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from practice.facts import RangeFacts
from practice.system import REPOSITORY

RAISE_S = 40 * 60
CRASH_LOOP = () if os.environ.get("BELAY_TEST_LONG") == "1" else ("--crash-loop-max", "10s")
"""The kubelets' longest back-off: short, but where a test needs the one that real clusters have."""


@pytest.fixture(scope="session")
def practice_range() -> Iterator[RangeFacts]:
    """A raised range: the one that BELAY_TEST_RANGE names, or one for this session alone.

    A named range is raised when it is not up, and left up: whoever named it drops it.
    """
    kept = os.environ.get("BELAY_TEST_RANGE")
    name = kept or f"t{os.getpid() % 1000000}"
    try:
        practice("up", "--name", name, *CRASH_LOOP, timeout=RAISE_S)
        yield RangeFacts.load(name)
    finally:
        if not kept:
            practice("down", "--name", name)


@pytest.fixture(scope="module")
def mixed_range() -> Iterator[RangeFacts]:
    """A raised range with one control plane and two workers: the one that BELAY_TEST_MIXED_RANGE
    names, or one for this module alone."""
    kept = os.environ.get("BELAY_TEST_MIXED_RANGE")
    name = kept or f"m{os.getpid() % 1000000}"
    shape = ("--control-planes", "1", "--workers", "2")
    try:
        practice("up", "--name", name, "--crash-loop-max", "10s", *shape, timeout=RAISE_S)
        yield RangeFacts.load(name)
    finally:
        if not kept:
            practice("down", "--name", name)


def practice(*words: str, timeout: float = 300.0) -> str:
    """Run `python -m practice …` and return what it printed; a failure shows all it said."""
    done = subprocess.run(
        [sys.executable, "-m", "practice", *words],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"practice {' '.join(words)}:\n{done.stdout}{done.stderr}"
    return done.stdout
