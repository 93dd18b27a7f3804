"""The practice range as the stack sees it: can this machine hold it, and how far has it come?"""

from __future__ import annotations

from practice.facts import Progress, read_progress
from practice.preflight import problems


def obstacles() -> list[str]:
    """Plain sentences: what this machine lacks for the range, and what to do; empty when fine."""
    return [f"{problem[0].upper()}{problem[1:]}." for problem in problems()]


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
        line = self.line(progress)
        if line == self._said:
            return []
        self._said = line
        return [line]

    def line(self, progress: Progress) -> str:
        """One line that says how far the range is."""
        what = progress.error or progress.message or progress.step
        if progress.phase == "ready":
            return f"Practice range {self._name} is ready."
        return f"Practice range {self._name}: {progress.percent:3d}%, {what}"
