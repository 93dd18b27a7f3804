"""Plays as many schedules as are asked for, as hypothesis makes them."""

from __future__ import annotations

import os
import random

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.simulator.play import Stage, play
from tests.simulator.schedule import Schedule
from tests.simulator.strategies import schedules

SCHEDULES = int(os.environ.get("BELAY_TEST_SCHEDULES", "1600"))
"""In `make test`, over all files that play schedules."""
FILES = 2
"""One per core."""


def look(stage: Stage, count: int, *, which: int | None = None) -> None:
    """Play `count` schedules; those of number `which` each time, or others every time."""
    number = random.SystemRandom().getrandbits(48) if which is None else which

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(schedules())
    def play_one(schedule: Schedule) -> None:
        played = play(stage, schedule)
        assert not played.problems, f"{schedule}\n{played}"

    try:
        play_one()
    except BaseException:
        print(f"seed {number}")
        raise
