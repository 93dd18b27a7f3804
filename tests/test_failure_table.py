"""Every row of the failure table is a named test: `test_row_07_…`, or `test_rows_15_and_37_…`.

The table says what must be true when things break. A row that nobody tests fails here, and so does
a test that names a row which the table does not have.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TABLE: dict[int, str] = {
    1: "conductor killed before the recipe is committed: nothing armed",
    2: "after the recipe, before arming: clean, no injection",
    3: "after arming 2 of 3 nodes: all disarmed",
    4: "after `armed`: disarmed, clean",
    5: "after `injecting` is committed, before the effect: inconclusive",
    6: "after the effect, before `active`: undone, never injected again",
    7: "during `active`: the watchdog undoes",
    8: "in mid-undo: another undoer finishes",
    9: "after verify, before `clean`: verified again",
    10: "every process of ours killed, API down: guards undo",
    11: "Redis killed or flushed: undone on time",
    12: "Redis back: no second run",
    13: "PostgreSQL restarted: undo, record later",
    14: "COMMIT applied, the client saw an error: no second injection",
    15: "web restarted: an abort is honoured",
    16: "the same message five times: one injection",
    17: "two beats: one run per occurrence",
    18: "conductor stopped for minutes: its stale fence is refused",
    19: "network cut: guards undo at the lease",
    20: "cut healed after the undo: the tombstone",
    21: "guard killed, ten times: it undoes or goes on",
    22: "guard stopped, continued: overdue undo at once",
    23: "node restarted: undone after boot",
    24: "wall clock stepped: deadlines unmoved",
    25: "the guard's disk is full: arm refused",
    26: "kubelet restarted while the API is down",
    27: "API server does not come up: one nudge, then `undo_stuck`",
    28: "second fault on the same cluster: refused",
    29: "the same cluster registered twice: refused",
    30: "a second installation: refused by the guard",
    31: "database restored from an old backup: old epoch refused",
    32: "a person edits the target in mid-fault: not clobbered",
    33: "something else reverts the fault: seen, recorded",
    34: "a credential is revoked in mid-fault: stuck, never clean",
    35: "etcd already degraded: refused",
    36: "registry down and the guard restarts: from the cached image",
    37: "abort in every state",
    38: "daylight-saving gap or overlap at the booked time",
    39: "scheduler down over the start time: missed",
    40: "stale, replayed or forged signature: refused",
    41: "steady state already red: refused",
    42: "production-looking cluster or wrong marker: refused",
    43: "PostgreSQL stopped in mid-fault: undo without it",
    44: "every process restarted in mid-fault: undone",
    45: "a change that arrives after the undo: 409",
    46: "a traffic step's worker killed: former weights back",
    47: "kubelet or runtime as target: refused",
    48: "emergency stop",
}
COMES_WITH: dict[int, str] = {
    38: "recurring bookings",
}
"""Rows of features that are not there yet. Delete the line with the feature."""
_NAMED = re.compile(r"^(?:    )?def test_rows?_(\d+(?:_and_\d+)*)", re.MULTILINE)


def rows_named() -> dict[int, list[str]]:
    """Row → the test files that name it."""
    found: dict[int, list[str]] = {}
    for path in sorted(Path(__file__).parent.rglob("test_*.py")):
        for match in _NAMED.finditer(path.read_text()):
            for number in match[1].split("_and_"):
                found.setdefault(int(number), []).append(str(path))
    return found


@pytest.mark.parametrize("row", [row for row in TABLE if row not in COMES_WITH])
def test_the_row_has_a_test(row: int) -> None:
    assert rows_named().get(row), f"row {row} ({TABLE[row]}) is named by no test"


def test_no_test_names_a_row_that_is_not_there() -> None:
    assert set(rows_named()) <= set(TABLE)


def test_what_comes_with_a_feature_is_not_there_yet() -> None:
    there = set(COMES_WITH) & set(rows_named())
    assert not there, f"rows {there} have tests now: take them out of COMES_WITH"
