"""The faults a guard knows: one file per kind and one line here."""

from __future__ import annotations

from guard.faults.base import FaultDriver, Step
from guard.faults.cut import Cut
from guard.faults.drill import Drill
from guard.faults.flag import BadFlagInManifest
from guard.faults.hold import Hold
from guard.faults.kill import Kill
from guard.faults.object import Object
from guard.protocol import FaultKind

DRIVERS: dict[FaultKind, FaultDriver] = {
    FaultKind.HOLD: Hold(),
    FaultKind.KILL: Kill(),
    FaultKind.FLAG: BadFlagInManifest(),
    FaultKind.CUT: Cut(),
    FaultKind.OBJECT: Object(),
    FaultKind.DRILL: Drill(),
}

SLOW = frozenset({FaultKind.OBJECT})
"""Asks a server somewhere else, which may take seconds: nobody may wait for such a step."""

__all__ = ["DRIVERS", "SLOW", "FaultDriver", "Step"]
