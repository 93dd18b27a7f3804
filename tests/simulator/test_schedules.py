"""Schedules that hypothesis makes; with BELAY_TEST_SOAK_MINUTES, as many as fit."""

from __future__ import annotations

import os
import time

import pytest

from tests.simulator import coverage
from tests.simulator.look import FILES, SCHEDULES, look
from tests.simulator.play import Stage

SOAK_MINUTES = float(os.environ.get("BELAY_TEST_SOAK_MINUTES", "0"))
ROUND = 200

pytestmark = pytest.mark.long


@pytest.mark.timeout(1500)
def test_whatever_dies_the_fault_is_undone(stage: Stage) -> None:
    look(stage, SCHEDULES // FILES, which=1)


@pytest.mark.skipif(not SOAK_MINUTES, reason="`make soak` asks for it")
@pytest.mark.timeout(0)
def test_soak(stage: Stage) -> None:
    """New schedules, round after round, until the time is up."""
    until = time.monotonic() + SOAK_MINUTES * 60
    rounds = 0
    while time.monotonic() < until:
        look(stage, ROUND)
        rounds += 1
        print(f"{rounds * ROUND} schedules, {coverage.played()} played", flush=True)
