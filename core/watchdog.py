"""The watchdog: sees leases that nobody renews, and aborts that nobody acts on, and takes over.

A step function like the conductors of faults and of migration steps. It compares each lease's
counter with what it saw before on its *own* monotonic clock; no two machines' clocks are ever
compared. Whoever takes over only undoes: nothing goes forward here. Any number of watchdogs may
run: taking over is a compare-and-set on fence and counter.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

LEASE_S = 15.0
"""A lease whose counter has not moved for this long has no conductor."""
ABORT_S = 3.0
"""An abort that a conductor has not acted on for this long is delivered by the watchdog."""
TICK_S = 0.5


@dataclass(frozen=True, kw_only=True)
class LeaseRow:
    """One lease as read just now. `key` is the injection's or the step attempt's."""

    key: uuid.UUID
    fence: int
    renewals: int
    given_up: bool
    abort_waiting: bool
    """An abort was asked for, and the state is still one in which nothing is undone."""
    abort_underway: bool = False
    """An abort was asked for, and the undo has begun: its conductor must be seen alive, because it
    may have died between its commit and the call to the guards."""


class LeaseBook(Protocol):
    def rows(self) -> Iterable[LeaseRow]:
        """Every lease that somebody holds of what is not final."""

    def take_over(self, row: LeaseRow) -> int | None:
        """The new fence, or None when somebody was quicker."""


class Watchdog:
    def __init__(self, book: LeaseBook) -> None:
        self._book = book
        self._seen: dict[uuid.UUID, tuple[int, int, float]] = {}
        self._abort_since: dict[uuid.UUID, tuple[int, float]] = {}

    def advance(self, now: float, mine: set[uuid.UUID]) -> list[tuple[uuid.UUID, int]]:
        """What to undo now, with the new fences. `now` is monotonic seconds; `mine` are
        those that this process already conducts."""
        rows = list(self._book.rows())
        taken = []
        for row in rows:
            if row.key in mine:
                continue
            if self._is_dead(row, now) or self._abort_is_stuck(row, now):
                fence = self._book.take_over(row)
                if fence is not None:
                    taken.append((row.key, fence))
        live = {row.key for row in rows}
        self._seen = {key: value for key, value in self._seen.items() if key in live}
        self._abort_since = {k: v for k, v in self._abort_since.items() if k in live}
        return taken

    def _is_dead(self, row: LeaseRow, now: float) -> bool:
        if row.given_up:
            return True
        fence, renewals, since = self._seen.get(row.key, (-1, -1, now))
        if (fence, renewals) != (row.fence, row.renewals):
            self._seen[row.key] = (row.fence, row.renewals, now)
            return False
        return now - since >= (ABORT_S if row.abort_underway else LEASE_S)

    def _abort_is_stuck(self, row: LeaseRow, now: float) -> bool:
        if not row.abort_waiting:
            self._abort_since.pop(row.key, None)
            return False
        fence, since = self._abort_since.get(row.key, (row.fence, now))
        if fence != row.fence:
            since = now
        self._abort_since[row.key] = (row.fence, since)
        return now - since >= ABORT_S
