"""The practice range as the stack sees it: can this machine hold it, and how far has it come?"""

from __future__ import annotations

from practice.facts import read_progress
from practice.preflight import obstacles_here


def obstacles() -> list[str]:
    """Plain sentences: what this machine lacks for the range, and what to do; empty when fine."""
    return obstacles_here()


class RangeProgress:
    """Turns the range's progress file into lines for a terminal, each said once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._said = ""

    def news(self) -> list[str]:
        """Lines that were not said yet."""
        progress = read_progress(self._name)
        if progress is None:
            return []
        line = f"Practice range {self._name}: {progress.message or progress.step}"
        if progress.phase != "ready":
            line += f" ({progress.steps_done} of {progress.steps_total} steps)"
        if progress.error:
            line += f" — {progress.error}"
        if line == self._said:
            return []
        self._said = line
        return [line]
