"""The table of what was tried: states of the row × kinds of trouble."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.simulator.schedule import IMPOSSIBLE, STATES, What

SEEN: Counter[tuple[str, str]] = Counter()
"""Of all schedules of this session."""
PLAYED: Counter[str] = Counter()
"""How many schedules ended how."""


def note(covered: Counter[tuple[str, str]], end: str) -> None:
    SEEN.update(covered)
    PLAYED[end] += 1


def empty_cells() -> list[str]:
    return [
        f"{what} in {state}"
        for what in What
        for state in STATES
        if not SEEN[state, what] and (state, what) not in IMPOSSIBLE
    ]


def table() -> Iterator[str]:
    """Lines for people. `-` is a cell that cannot exist; its reason stands below."""
    width = max(len(what) for what in What)
    heads = [str(state)[:10].rjust(10) for state in STATES]
    yield f"{'':{width}} {' '.join(heads)}"
    for what in What:
        cells = [
            "-".rjust(10) if (state, what) in IMPOSSIBLE else str(SEEN[state, what]).rjust(10)
            for state in STATES
        ]
        yield f"{what:{width}} {' '.join(cells)}"
    for (state, what), why in IMPOSSIBLE.items():
        yield f"- {what} in {state}: {why}"
    yield ", ".join(f"{count} {end}" for end, count in PLAYED.most_common())
