"""The table of what was tried: states of the row × kinds of trouble."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from tests.simulator.schedule import IMPOSSIBLE, STATES, What

SEEN: Counter[str] = Counter()
"""Of all schedules of this process: `state/trouble`, and `=end` for how a schedule ended."""


def note(covered: Counter[tuple[str, str]], end: str) -> None:
    SEEN.update({f"{state}/{what}": count for (state, what), count in covered.items()})
    SEEN[f"={end}"] += 1


def played() -> int:
    return sum(count for key, count in SEEN.items() if key.startswith("="))


def snapshot() -> Counter[str]:
    return SEEN.copy()


def since(before: Counter[str]) -> Counter[str]:
    return SEEN - before


def empty_cells(seen: Mapping[str, int]) -> list[str]:
    return [
        f"{what} in {state}"
        for what in What
        for state in STATES
        if not seen.get(f"{state}/{what}") and (state, what) not in IMPOSSIBLE
    ]


def table(seen: Mapping[str, int]) -> Iterator[str]:
    """Lines for people. `-` is a cell that cannot exist; its reason stands below."""
    width = max(len(what) for what in What)
    heads = [str(state)[:10].rjust(10) for state in STATES]
    yield f"{'':{width}} {' '.join(heads)}"
    for what in What:
        cells = [
            ("-" if (state, what) in IMPOSSIBLE else str(seen.get(f"{state}/{what}", 0))).rjust(10)
            for state in STATES
        ]
        yield f"{what:{width}} {' '.join(cells)}"
    for (state, what), why in IMPOSSIBLE.items():
        yield f"- {what} in {state}: {why}"


def ends(seen: Mapping[str, int]) -> str:
    counts = Counter({key[1:]: count for key, count in seen.items() if key.startswith("=")})
    how = ", ".join(f"{count} {end}" for end, count in counts.most_common())
    return f"{counts.total()} schedules: {how}"
