"""Every trouble in every state of the row, one at a time: no cell of the table stays empty."""

from __future__ import annotations

import pytest

from tests.people import API, ETCD
from tests.simulator.play import Stage, play
from tests.simulator.schedule import IMPOSSIBLE, STATES, Event, Schedule, What, prelude

pytestmark = pytest.mark.long


@pytest.mark.parametrize("what", What)
def test_every_state_survives(stage: Stage, what: What) -> None:
    for index, state in enumerate(STATES):
        if (state, what) in IMPOSSIBLE:
            continue
        event = Event(state, what, seconds=12.0 if index % 2 else 50.0, skip=index % 3)
        schedule = Schedule(API if index % 2 else ETCD, hold_s=20, events=(*prelude(state), event))
        played = play(stage, schedule)
        assert not played.problems, f"{schedule}\n{played}"
        assert played.covered[state, what], f"the cell {what} × {state} stayed empty"
