"""Fixtures with running stacks: `bare_stack` without a cluster, `stack` on the raised range."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.stack.layout import existing_stack
from practice.facts import RangeFacts
from tests.stack.running import RunningStack


def _state_dir(kind: str) -> Path:
    # Short, because sockets lie in it, and passable for the account of the services.
    return Path("/tmp") / f"belay-{kind}-{os.getpid()}"


@pytest.fixture(scope="session")
def bare_stack() -> Iterator[RunningStack]:
    """A supervised stack without a cluster."""
    running = RunningStack.start(_state_dir("bare"), range_name=None)
    try:
        yield running
    finally:
        running.end()


@pytest.fixture(scope="session")
def stack(practice_range: RangeFacts) -> Iterator[RunningStack]:
    """A supervised stack on the raised range, registered and with guards.

    For development: BELAY_TEST_STACK names the state directory of a stack that is already up.
    """
    if existing := os.environ.get("BELAY_TEST_STACK"):
        yield RunningStack(existing_stack(Path(existing)), process=None)
        return
    running = RunningStack.start(_state_dir("stack"), range_name=practice_range.name)
    try:
        yield running
    finally:
        running.end()
