"""The stage of the simulator's schedules."""

from __future__ import annotations

from tests.simulator.stage import stage

__all__ = ["stage"]
