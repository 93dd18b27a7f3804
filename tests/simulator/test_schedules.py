"""Schedules that hypothesis makes; with BELAY_TEST_SOAK_MINUTES, as many as fit."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.simulator import coverage
from tests.simulator.play import Stage, play
from tests.simulator.schedule import Schedule
from tests.simulator.strategies import schedules

SCHEDULES = int(os.environ.get("BELAY_TEST_SCHEDULES", "300"))
SOAK_MINUTES = float(os.environ.get("BELAY_TEST_SOAK_MINUTES", "0"))
ROUND = 200

pytestmark = pytest.mark.long


def look(stage: Stage, count: int, *, repeat: bool) -> None:
    """Play `count` schedules; `repeat` those of the last time, or others every time."""

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=repeat,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(schedules())
    def play_one(schedule: Schedule) -> None:
        played = play(stage, schedule)
        assert not played.problems, f"{schedule}\n{played}"

    play_one()


@pytest.mark.timeout(1500)
def test_whatever_dies_the_fault_is_undone(stage: Stage) -> None:
    look(stage, SCHEDULES, repeat=True)


@pytest.mark.skipif(not SOAK_MINUTES, reason="`make soak` asks for it")
@pytest.mark.timeout(0)
def test_soak(stage: Stage) -> None:
    """New schedules, round after round, until the time is up."""
    until = time.monotonic() + SOAK_MINUTES * 60
    rounds = 0
    while time.monotonic() < until:
        look(stage, ROUND, repeat=False)
        rounds += 1
        print(f"{rounds * ROUND} schedules, {coverage.played()} played", flush=True)
