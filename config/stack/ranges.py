"""The practice range as the stack sees it: can this machine hold it, and how far has it come?"""

from __future__ import annotations

from core.texts import duration
from practice.facts import Progress, read_progress
from practice.preflight import problems


def obstacles() -> list[str]:
    """Plain sentences: what this machine lacks for the range, and what to do; empty when fine."""
    return [f"{problem[0].upper()}{problem[1:]}." for problem in problems()]


class RangeProgress:
    """Turns the range's progress file into lines for a terminal: what is worth a line, once.

    Args:
        name: the range.
        url: where the pages are, for what comes next when it is up.
    """

    EVERY_PERCENT = 10
    """A step that takes minutes says this often that it goes on."""

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        self._url = url
        self._said: Progress | None = None

    def news(self) -> list[str]:
        """Lines that were not said yet."""
        progress = read_progress(self._name)
        if progress is None or not self._is_news(progress):
            return []
        self._said = progress
        return self.lines(progress)

    def lines(self, progress: Progress) -> list[str]:
        """How far the range is; when it is up, what to do next."""
        if progress.phase == "ready":
            return [
                f"Practice range {self._name} is up; it becomes the cluster qa-range in a moment.",
                f"Next: log in at {self._url} as lea, and book “One etcd member down”.",
            ]
        what = progress.error or progress.step or progress.message
        left = "" if progress.eta_s is None else f", about {duration(progress.eta_s)} to go"
        if progress.overdue:
            left = ": it takes longer here than expected, and goes on"
        return [f"Practice range {self._name}: {progress.percent:3d}%, {what}{left}"]

    def _is_news(self, progress: Progress) -> bool:
        said = self._said
        return (
            said is None
            or (progress.phase, progress.step, progress.error, progress.overdue)
            != (said.phase, said.step, said.error, said.overdue)
            or progress.percent >= said.percent + self.EVERY_PERCENT
        )
