"""Rows of figures: collected, shown as a table, and kept as build/bench.json."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure. `limit` bounds `ratio` where there is one, else `value`; None: no promise."""

    name: str
    value: float | None
    """None: it could not be measured; `note` says why."""
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    limit: float | None = None
    ok: bool
    raw: list[Any] = field(default_factory=list)
    note: str = ""


def bounded(
    name: str, raw: Sequence[float], unit: str, *, limit: float | None = None, note: str = ""
) -> Row:
    """A figure that must hold every time: its value is the worst of `raw`."""
    worst = max(raw)
    return Row(
        name=name,
        value=round(worst, 3),
        unit=unit,
        limit=limit,
        ok=limit is None or worst <= limit,
        raw=[round(value, 3) for value in raw],
        note=note,
    )


def compared(
    name: str,
    pairs: Sequence[tuple[float, float]],
    unit: str,
    *,
    limit: float | None,
    note: str = "",
) -> Row:
    """Medians of (ours, baseline) pairs; the limit, if there is one, is on their ratio."""
    ours = statistics.median(pair[0] for pair in pairs)
    baseline = statistics.median(pair[1] for pair in pairs)
    ratio = ours / baseline
    return Row(
        name=name,
        value=round(ours, 3),
        unit=unit,
        baseline=round(baseline, 3),
        ratio=round(ratio, 3),
        limit=limit,
        ok=limit is None or ratio <= limit,
        raw=[{"belay": round(a, 4), "bare": round(b, 4)} for a, b in pairs],
        note=note,
    )


def later(
    name: str,
    pairs: Sequence[tuple[float, float]],
    unit: str,
    *,
    limit: float,
    note: str = "",
) -> Row:
    """By how much ours is more than the baseline of the same pair; the limit is on the median."""
    more = statistics.median(ours - baseline for ours, baseline in pairs)
    return Row(
        name=name,
        value=round(more, 3),
        unit=unit,
        baseline=round(statistics.median(baseline for _ours, baseline in pairs), 3),
        limit=limit,
        ok=more <= limit,
        raw=[{"belay": round(a, 4), "bare": round(b, 4)} for a, b in pairs],
        note=note,
    )


def unmeasured(name: str, unit: str, why: str, *, raw: Sequence[Any] = ()) -> Row:
    """A figure that should be here and is not: never ok."""
    return Row(name=name, value=None, unit=unit, ok=False, raw=list(raw), note=why)


class Report:
    """The rows so far. Written after every row, so that a run that is cut short leaves some."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: list[Row] = []

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        content = [dataclasses.asdict(row) for row in self.rows]
        fresh.write_text(json.dumps(content, indent=1) + "\n")
        fresh.rename(self._path)

    @property
    def all_ok(self) -> bool:
        """Every row was measured and is within its limit."""
        return bool(self.rows) and all(row.ok for row in self.rows)

    def table(self) -> str:
        """The rows for a terminal; notes of what was not measured or is not ok below them."""
        lines = [("figure", "value", "unit", "baseline", "ratio", "limit", "")]
        lines += [
            (
                row.name,
                _number(row.value),
                row.unit,
                _number(row.baseline),
                _number(row.ratio),
                _limit(row),
                _word(row),
            )
            for row in self.rows
        ]
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        text = ["  ".join(_aligned(line, widths)).rstrip() for line in lines]
        text.insert(1, "  ".join("-" * width for width in widths).rstrip())
        text += [f"{row.name}: {row.note}" for row in self.rows if row.note]
        return "\n".join(text)


def _aligned(line: tuple[str, ...], widths: list[int]) -> list[str]:
    words = (0, 2, 6)
    return [
        cell.ljust(width) if column in words else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if value < 100 else f"{value:.0f}"


def _limit(row: Row) -> str:
    if row.limit is None:
        return ""
    return f"{row.limit:g} ×" if row.ratio is not None else f"{row.limit:g}"


def _word(row: Row) -> str:
    if row.value is None:
        return "NOT MEASURED"
    if row.limit is None:
        return "no limit"
    return "ok" if row.ok else "NOT OK"
