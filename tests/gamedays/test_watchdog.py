"""The watchdog's decisions, on a clock that the test moves."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.watchdog import ABORT_S, LEASE_S, LeaseRow, Watchdog
from gamedays.management.commands import watchdog as command

_ID = uuid.UUID(int=7)
_ROW = LeaseRow(key=_ID, fence=1, renewals=5, given_up=False, abort_waiting=False)


class Book:
    def __init__(self) -> None:
        self.row = _ROW
        self.lost = False

    def rows(self) -> Iterable[LeaseRow]:
        return [self.row]

    def take_over(self, row: LeaseRow) -> int | None:
        if self.lost:
            return None
        self.row = replace(self.row, fence=row.fence + 1)
        return self.row.fence


def test_a_lease_that_moves_is_left_alone() -> None:
    book = Book()
    watchdog = Watchdog(book)
    for second in range(100):
        book.row = replace(book.row, renewals=second)
        assert watchdog.advance(second, set()) == []


def test_a_lease_that_stands_still_is_taken_after_fifteen_seconds_not_before() -> None:
    watchdog = Watchdog(Book())
    assert watchdog.advance(100.0, set()) == []
    assert watchdog.advance(100.0 + LEASE_S - 0.1, set()) == []
    assert watchdog.advance(100.0 + LEASE_S, set()) == [(_ID, 2)]


def test_a_conductor_that_says_goodbye_is_followed_at_once() -> None:
    book = Book()
    book.row = replace(book.row, given_up=True)
    assert Watchdog(book).advance(0.0, set()) == [(_ID, 2)]


def test_an_abort_that_nobody_acts_on_is_delivered() -> None:
    book = Book()
    book.row = replace(book.row, abort_waiting=True)
    watchdog = Watchdog(book)
    for tenth in range(int(ABORT_S * 10)):
        book.row = replace(book.row, renewals=tenth)  # it lives, but does not act
        assert watchdog.advance(tenth / 10, set()) == []
    assert watchdog.advance(ABORT_S, set()) == [(_ID, 2)]


def test_row_37_an_aborted_undo_whose_conductor_stands_still_is_taken_over_soon() -> None:
    book = Book()
    book.row = replace(book.row, abort_underway=True)
    watchdog = Watchdog(book)
    assert watchdog.advance(10.0, set()) == []
    assert watchdog.advance(10.0 + ABORT_S - 0.1, set()) == []
    assert watchdog.advance(10.0 + ABORT_S, set()) == [(_ID, 2)]


def test_an_aborted_undo_that_is_conducted_is_left_alone() -> None:
    book = Book()
    book.row = replace(book.row, abort_underway=True)
    watchdog = Watchdog(book)
    for second in range(0, 60, 2):
        book.row = replace(book.row, renewals=second)
        assert watchdog.advance(second, set()) == []


def test_whoever_is_quicker_has_it() -> None:
    book = Book()
    book.lost = True
    watchdog = Watchdog(book)
    watchdog.advance(0.0, set())
    assert watchdog.advance(60.0, set()) == []


def test_what_this_process_conducts_is_not_taken_from_itself() -> None:
    watchdog = Watchdog(Book())
    for second in range(60):
        assert watchdog.advance(second, {_ID}) == []


@given(st.lists(st.tuples(st.floats(0.1, 5), st.booleans()), max_size=60))
def test_never_earlier_than_a_lease_after_the_last_renewal(
    steps: list[tuple[float, bool]],
) -> None:
    book = Book()
    watchdog = Watchdog(book)
    now, renewed = 0.0, 0.0
    watchdog.advance(now, set())
    for step, renews in steps:
        now += step
        if renews:
            book.row = replace(book.row, renewals=book.row.renewals + 1)
            renewed = now
        taken = watchdog.advance(now, set())
        if taken:
            assert now - renewed >= LEASE_S
            return
        assert now - renewed < LEASE_S + 5


def test_a_look_that_fails_ends_no_watchdog(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No place for the heartbeat; and what always fails for faults leaves no step unwatched."""
    looks: dict[Watchdog, int] = {}
    told: list[Callable[[int, None], None]] = []

    def advance(self: Watchdog, _now: float, _mine: set[uuid.UUID]) -> list[object]:
        looks[self] = looks.get(self, 0) + 1
        if self is next(iter(looks)):
            raise RuntimeError("can't start new thread")
        return []

    def sleep(_seconds: float) -> None:
        if 3 in looks.values():
            told[0](signal.SIGTERM, None)

    monkeypatch.setattr(Watchdog, "advance", advance)
    monkeypatch.setattr(signal, "signal", lambda _number, handler: told.append(handler))
    monkeypatch.setattr(time, "sleep", sleep)
    command.Command().handle(heartbeat=tmp_path / "gone" / "heartbeat")
    assert list(looks.values()) == [3, 3]
