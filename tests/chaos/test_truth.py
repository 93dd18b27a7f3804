"""What counts as rows that disagree with the nodes."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from tests.chaos.truth import Seen, disagreements, restoration_s

RUN = "5f0d7c1e-0000-4000-8000-000000000001"
BEGAN = dt.datetime(2026, 11, 24, 2, 0, tzinfo=dt.UTC)


def _after(seconds: float) -> dt.datetime:
    return BEGAN + dt.timedelta(seconds=seconds)


def _order(**changes: Any) -> dict[str, Any]:
    order = {
        "recipe": {"order_id": RUN, "fault": {"kind": "hold", "hold_s": 10}},
        "phase": "undone",
        "injected_at": _after(0).isoformat(),
        "undo_asked_at": _after(10).isoformat(),
        "undone_at": _after(12).isoformat(),
        "undo_reason": "requested",
    }
    return order | changes


def _seen(*, row: dict[str, Any] | None = None, **changes: Any) -> Seen:
    told: dict[str, Any] = {
        "state": "clean",
        "verdict": "held",
        "reason": "",
        "doubt": "",
        "recipe": {"faults": {"qa-1": {"kind": "hold"}}},
        "bitten_at": _after(1),
        "undo_asked_at": _after(11),
        "restored_at": _after(15),
    }
    seen = Seen(
        run_id=RUN,
        row=told | (row or {}),
        states=("planned", "injecting", "active", "clean"),
        orders={"qa-1": _order(), "qa-2": None},
        tombstones={"qa-1": frozenset({RUN})},
        old_processes_alive=(),
        slots_held=0,
    )
    return dataclasses.replace(seen, **changes)


def test_a_run_whose_rows_are_true_has_none() -> None:
    assert disagreements(_seen()) == []
    refused = _seen(row={"state": "refused"}, states=("planned",), orders={"qa-1": None})
    assert disagreements(refused) == []


@pytest.mark.parametrize(
    ("seen", "says"),
    [
        (_seen(row={"state": "undo_stuck"}), "ended as undo_stuck"),
        (_seen(row={"state": "refused"}), "refused, and qa-1 has its order"),
        (_seen(states=("injecting", "injecting")), "injecting 2 times"),
        (_seen(states=("planned", "undoing")), "injected, and the row never said so"),
        (_seen(slots_held=1), "1 slot(s) are still taken"),
        (_seen(tombstones={}), "would still take the order"),
        (_seen(orders={"qa-1": _order(phase="undoing")}), "order is undoing"),
        (_seen(orders={"qa-1": None}), "bitten, and qa-1 never injected"),
        (_seen(old_processes_alive=("qa-1",)), "the old process on qa-1 runs on"),
        (_seen(row={"verdict": ""}), "with the verdict ''"),
        (_seen(row={"doubt": "The conductor was lost."}), "held, although"),
        (_seen(row={"bitten_at": None}), "nothing was seen to bite"),
        (_seen(orders={"qa-1": _order(undo_reason="lease")}), "by itself (lease)"),
        (_seen(row={"restored_at": _after(9)}), "restored before qa-1 was undone"),
        (_seen(row={"restored_at": None}), "nothing says when it was restored"),
        (
            _seen(orders={"qa-1": _order(undo_asked_at=_after(81).isoformat())}),
            "past its deadline",
        ),
    ],
)
def test_every_contradiction_is_said(seen: Seen, says: str) -> None:
    assert any(says in sentence for sentence in disagreements(seen)), disagreements(seen)


def test_a_guard_that_we_stopped_may_be_late_by_so_much() -> None:
    late = {"qa-1": _order(undo_asked_at=_after(85).isoformat(), undone_at=_after(86).isoformat())}
    row = {"restored_at": _after(90)}
    assert disagreements(_seen(orders=late, row=row)) != []
    assert disagreements(_seen(orders=late, row=row, guard_stopped_s=20)) == []


def test_restoration_counts_from_whoever_asked_first() -> None:
    assert restoration_s(_seen()) == 5
    assert restoration_s(_seen(row={"undo_asked_at": _after(7)})) == 8
    assert restoration_s(_seen(orders={"qa-1": None})) is None
