"""Crash at every step: the other half: a file of its own, for the second core."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulator.crash import crash_everywhere, fault_id
from tests.simulator.play import Stage
from tests.simulator.schedule import FAULTS, Given

pytestmark = pytest.mark.long


@pytest.mark.timeout(0)
@pytest.mark.parametrize(("scenario", "given"), FAULTS[1::2], ids=fault_id)
def test_broken_at_every_step(
    stage: Stage, scenario: str, given: Given, record_property: Callable[[str, object], None]
) -> None:
    record_property("crashes", str(crash_everywhere(stage, scenario, given)))
