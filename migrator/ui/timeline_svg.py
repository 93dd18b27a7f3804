"""The picture of waves over time, as numbers for its template: what was planned, and what came."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.utils import timezone

from migrator.selectors.standings import in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from migrator.selectors.waves import WaveView

LABELS: Final = 220
WIDTH: Final = 1200
_TOP, _ROW, _BAR, _BOTTOM = 34, 46, 14, 12
_LETTERS: Final = 24
_TICKS_MAX: Final = 12
_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True)
class Bar:
    x: float
    width: float


@dataclass(frozen=True)
class Row:
    view: WaveView
    name: str
    """Shortened to its room; the whole name is in the title."""
    y: int
    planned: Bar
    actual: Bar | None
    overdue: Bar | None
    """The part of what came that lies behind the planned end."""
    says: str


@dataclass(frozen=True)
class Tick:
    x: float
    word: str


@dataclass(frozen=True)
class Timeline:
    width: int
    height: int
    rows: list[Row]
    ticks: list[Tick]
    today: float | None


def draw(waves: Sequence[WaveView], today: dt.date | None = None) -> Timeline | None:
    """None where there is no wave to draw."""
    if not waves:
        return None
    today = today or timezone.now().date()
    days = [each.wave.starts_on for each in waves] + [each.wave.ends_on + _DAY for each in waves]
    days += [day for each in waves for day in (each.began_on, _until(each, today)) if day]
    first, last = min(days), max(days)
    room = max(7, (last - first).days // 20)
    first, last = first - room * _DAY, last + room * _DAY
    span = (last - first).days

    def x(day: dt.date) -> float:
        return round(LABELS + (day - first).days * (WIDTH - LABELS) / span, 1)

    def bar(begin: dt.date, end: dt.date) -> Bar:
        # A day is never too thin to be seen.
        return Bar(x=x(begin), width=max(3.0, round(x(end) - x(begin), 1)))

    rows = []
    for index, each in enumerate(waves):
        over = each.wave.ends_on + _DAY
        until = _until(each, today)
        actual = bar(each.began_on, until) if each.began_on and until else None
        late = until is not None and each.began_on is not None and until > over
        rows.append(
            Row(
                view=each,
                name=_short(each.wave.name),
                y=_TOP + index * _ROW,
                planned=bar(each.wave.starts_on, over),
                actual=actual,
                overdue=bar(max(over, each.began_on), until)
                if late and until is not None and each.began_on is not None
                else None,
                says=_says(each),
            )
        )
    return Timeline(
        width=WIDTH,
        height=_TOP + len(waves) * _ROW + _BOTTOM,
        rows=rows,
        ticks=_ticks(first, last, x),
        today=x(today) if first <= today <= last else None,
    )


def _until(view: WaveView, today: dt.date) -> dt.date | None:
    """The day after the last that is known of it."""
    if view.began_on is None:
        return None
    return (view.ended_on or max(today, view.began_on)) + _DAY


def _ticks(first: dt.date, last: dt.date, x: Callable[[dt.date], float]) -> list[Tick]:
    months = []
    month = first.replace(day=1)
    while month < last:
        month = (month.replace(day=28) + 4 * _DAY).replace(day=1)
        if month < last:
            months.append(month)
    every = -(-len(months) // _TICKS_MAX) or 1
    return [
        Tick(x=x(each), word=f"{each:%b %Y}" if each.month == 1 or index == 0 else f"{each:%b}")
        for index, each in enumerate(months[::every])
    ]


def _says(view: WaveView) -> str:
    text = f"planned {in_words(view.wave.starts_on)} to {in_words(view.wave.ends_on)}"
    if view.began_on is None:
        return f"{text}, not begun"
    text += f", began {in_words(view.began_on)}"
    return f"{text}, ended {in_words(view.ended_on)}" if view.ended_on else f"{text}, not over"


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
