"""Other schedules than those of the file beside this one; a file of its own for the second core."""

from __future__ import annotations

import pytest

from tests.simulator.look import FILES, SCHEDULES, look
from tests.simulator.play import Stage

pytestmark = pytest.mark.long


@pytest.mark.timeout(1500)
def test_whatever_dies_the_fault_is_undone(stage: Stage) -> None:
    look(stage, SCHEDULES // FILES, which=2)
