"""The stage of all schedules, as a fixture."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from unittest import mock

import pytest

from tests.people import make_cast
from tests.simulator.play import Stage
from tests.simulator.universe import BEGIN


@pytest.fixture
def stage(db: None) -> Iterator[Stage]:
    """The people and the cluster of every schedule; each schedule takes back what it did."""
    with mock.patch("django.utils.timezone.now", return_value=BEGIN), seldom_collecting():
        yield Stage(make_cast())


@contextlib.contextmanager
def seldom_collecting() -> Iterator[None]:
    """A universe is one large knot of objects that all live as long as it: looking for garbage
    in it while it runs took an eighth of the time."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 5, 5)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
