"""Schedules that the search once found red, kept as they were shrunk."""

from __future__ import annotations

import pytest

from gamedays.choices import InjectionState as In
from tests.people import API
from tests.simulator.play import Stage, play
from tests.simulator.schedule import Event, Schedule, What

FOUND = {
    "an edit before the fingerprint, while conductors die": Schedule(
        API,
        given=(("mode", "kill"),),
        events=(
            *(Event(In.PLANNED, What.CONDUCTOR_KILLED) for _ in range(4)),
            Event(In.PLANNED, What.TARGET_EDITED),
        ),
        hold_s=20,
    ),
    "a drill's guard gone, and its node's power as it comes back": Schedule(
        API,
        events=(
            Event(In.PLANNED, What.CONDUCTOR_KILLED, after_s=0.3),
            Event(In.PLANNED, What.GUARD_GONE, after_s=0.3, seconds=25.0),
            Event(In.PLANNED, What.POWER_CUT_AT_WRITE, after_s=0.3),
        ),
        hold_s=5,
    ),
    "an account minted by a conductor that slept while the run was taken over": Schedule(
        "wrong-configuration",
        given=(("change", "bad-image"), ("target", "shop/prices")),
        events=(Event(In.ARMING, What.CONDUCTOR_STOPPED, seconds=25.0),),
        hold_s=5,
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_stays_mended(stage: Stage, name: str) -> None:
    played = play(stage, FOUND[name])
    assert not played.problems, f"{FOUND[name]}\n{played}"
