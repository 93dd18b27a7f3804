"""A node in memory for every test of the rules; tests of real processes bring their own."""

from __future__ import annotations

import pytest

from tests.guard.world import Site


@pytest.fixture
def site() -> Site:
    return Site()
