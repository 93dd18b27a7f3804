"""The picture of a burn-up, as numbers for its template: two lines over weeks, done under scope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.ui.times import plural

if TYPE_CHECKING:
    from migrator.selectors.burnup import BurnUp

WIDTH, HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 16, 14, 30
_TICKS_X: Final = 6
_TICKS_Y: Final = 4
_SMALL: Final = (1, 2, 3, 4, 5, 6, 8)
_LARGE: Final = (10, 12, 15, 20, 25, 30, 40, 50, 60, 80)


@dataclass(frozen=True)
class Tick:
    at: float
    word: str


@dataclass(frozen=True)
class Chart:
    width: int
    height: int
    left: int
    right: int
    bottom: int
    scope: str
    """A path: it rises and falls when plans are made and steps are skipped."""
    done: str
    area: str
    across: list[Tick]
    upward: list[Tick]
    last_x: float
    last_scope_y: float
    last_done_y: float
    says: str


def draw(burn: BurnUp) -> Chart:
    weeks = burn.weeks
    top = _round_up(max([1, *(week.scope for week in weeks), *(week.done for week in weeks)]))
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM

    def x(index: int) -> float:
        return round(_LEFT + index * (right - _LEFT) / max(1, len(weeks) - 1), 1)

    def y(number: int) -> float:
        return round(bottom - max(0, number) * (bottom - _TOP) / top, 1)

    def line(numbers: list[int]) -> str:
        # A single week is a level line: there is nothing to compare it with yet.
        numbers = numbers if len(numbers) > 1 else numbers * 2
        return "M" + "L".join(f"{x(index)} {y(number)}" for index, number in enumerate(numbers))

    done = line([week.done for week in weeks])
    every = -(-len(weeks) // _TICKS_X)
    now = burn.now
    return Chart(
        width=WIDTH,
        height=HEIGHT,
        left=_LEFT,
        right=right,
        bottom=bottom,
        scope=line([week.scope for week in weeks]),
        done=done,
        area=f"{done}L{right} {bottom}L{_LEFT} {bottom}Z",
        across=[
            Tick(x(index), f"{week.monday.day} {week.monday:%b}")
            for index, week in enumerate(weeks)
            if index % every == 0
            and (index == 0 or x(index) < right - 20 or index + 1 == len(weeks))
        ],
        upward=[
            Tick(y(n * top // _TICKS_Y), str(n * top // _TICKS_Y)) for n in range(_TICKS_Y + 1)
        ],
        last_x=x(max(1, len(weeks) - 1)),
        last_scope_y=y(now.scope),
        last_done_y=y(now.done),
        says=f"{now.done} of {now.scope} steps done in {plural(len(weeks), 'week')}; "
        f"{now.ahead} ahead.",
    )


def _round_up(number: int) -> int:
    """The next number that four lines part evenly and that people can read."""
    small = next((_TICKS_Y * each for each in _SMALL if _TICKS_Y * each >= number), None)
    power = 1
    while small is None:
        small = next((_TICKS_Y * each * power for each in _LARGE
                      if _TICKS_Y * each * power >= number), None)  # fmt: skip
        power *= 10
    return small
