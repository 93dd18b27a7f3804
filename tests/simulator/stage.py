"""The stage of all schedules, as a fixture."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest

from tests.people import make_cast
from tests.simulator.play import Stage
from tests.simulator.universe import BEGIN


@pytest.fixture
def stage(db: None) -> Iterator[Stage]:
    """The people and the cluster of every schedule; each schedule takes back what it did."""
    with mock.patch("django.utils.timezone.now", return_value=BEGIN):
        yield Stage(make_cast())
