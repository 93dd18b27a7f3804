"""Every trouble in every state of the row, one at a time: no cell of the table stays empty."""

from __future__ import annotations

import pytest

from gamedays.scenarios.registry import all_scenarios
from tests.people import API, ETCD
from tests.simulator.play import Stage, play
from tests.simulator.schedule import (
    ABOUT_OBJECTS,
    FAULTS,
    IMPOSSIBLE,
    OBJECT_FAULTS,
    STATES,
    Event,
    Schedule,
    What,
    prelude,
)

pytestmark = pytest.mark.long


def test_every_way_of_every_scenario_is_played() -> None:
    """Each scenario of the registry, with each value of each choice that it offers."""
    played = {(scenario, name, value) for scenario, given in FAULTS for name, value in given}
    for scenario in all_scenarios():
        assert any(key == scenario.key for key, _given in FAULTS), f"{scenario.key} is not played"
        for parameter in scenario.parameters:
            for value, _label in parameter.choices:
                there = (scenario.key, parameter.name, value) in played
                assert there, f"{scenario.key} is not played with {parameter.name} = {value}"


@pytest.mark.parametrize("what", What)
def test_every_state_survives(stage: Stage, what: What) -> None:
    for index, state in enumerate(STATES):
        if (state, what) in IMPOSSIBLE:
            continue
        event = Event(state, what, seconds=12.0 if index % 2 else 50.0, skip=index % 3)
        events = (*prelude(state, node=0 if what in ABOUT_OBJECTS else 1), event)
        schedule = Schedule(API if index % 2 else ETCD, hold_s=20, events=events)
        if what in ABOUT_OBJECTS:
            schedule = Schedule(*OBJECT_FAULTS[index % len(OBJECT_FAULTS)], events, hold_s=20)
        played = play(stage, schedule)
        assert not played.problems, f"{schedule}\n{played}"
        assert played.covered[state, what], f"the cell {what} × {state} stayed empty"
