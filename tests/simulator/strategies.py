"""Schedules as hypothesis makes them."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.simulator.schedule import FAULTS, STATES, Event, Schedule, What

_SECONDS = (0.5, 3.0, 9.0, 14.0, 25.0, 50.0, 70.0, 120.0)
_WAITS = (0.0, 0.001, 0.004, 0.3, 1.0, 2.0, 3.5, 8.0, 16.0, 30.0)


def events() -> st.SearchStrategy[Event]:
    return st.builds(
        Event,
        when=st.sampled_from(STATES),
        what=st.sampled_from(What),
        after_s=st.sampled_from(_WAITS),
        node=st.integers(0, 2),
        seconds=st.sampled_from(_SECONDS),
        skip=st.integers(0, 5),
        lucky=st.booleans(),
    )


def schedules(most: int = 5) -> st.SearchStrategy[Schedule]:
    return st.builds(
        lambda fault, given, hold_s: Schedule(fault[0], fault[1], tuple(given), hold_s),
        st.sampled_from(FAULTS),
        st.lists(events(), min_size=1, max_size=most),
        st.sampled_from((5, 20)),
    )
