"""Plays as many schedules as are asked for, as hypothesis makes them."""

from __future__ import annotations

import os
import random
import time

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.simulator.play import Stage, play
from tests.simulator.schedule import Schedule
from tests.simulator.strategies import schedules

SCHEDULES = int(os.environ.get("BELAY_TEST_SCHEDULES", "2000"))
"""In `make test`, over all files that play schedules."""
MOST_S = 600.0
"""On a busy machine fewer are played than were asked for; how many is printed at the end."""
FILES = 2
"""One per core."""


def look(stage: Stage, count: int, *, which: int | None = None) -> None:
    """Play `count` schedules; those of number `which` each time, or others every time."""
    number = random.SystemRandom().getrandbits(48) if which is None else which

    until = time.monotonic() + MOST_S if which is not None else float("inf")

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
        if time.monotonic() > until:
            return
        played = play(stage, schedule)
        assert not played.problems, f"{schedule}\n{played}"

    try:
        play_one()
    except BaseException:
        print(f"seed {number}")
        raise
