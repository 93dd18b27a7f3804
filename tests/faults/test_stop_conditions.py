"""A probe that is marked *abort when* ends a fault by itself."""

from __future__ import annotations

import pytest

from tests.faults.cluster import API_DOWN, JUDGED_S, QaCluster, at
from tests.faults.verbs import make_probe, switch_probe_off

pytestmark = [pytest.mark.range, pytest.mark.timeout(400, func_only=True)]
ABORT_AFTER_S = 3
HOLD_S = 120


def test_a_probe_that_is_marked_ends_the_fault_by_itself(qa: QaCluster) -> None:
    """The node's own API server is held for two minutes at most; the condition ends it in ten
    seconds, on every node, with nobody clicking anything."""
    probe = make_probe(
        qa.stack,
        kind="tcp",
        title="API server on qa-1 listens",
        parameters=_place(qa.look.node("qa-1").api_server),
        timeout_s=1,
        must_hold="scenario",
        abort_after_s=ABORT_AFTER_S,
    )
    try:
        run = qa.start(API_DOWN, hold_s=HOLD_S, observe_s=JUDGED_S)
        qa.await_active(run)
        orders = qa.await_undo_on_guards(run, within_s=ABORT_AFTER_S + 12)
        row = qa.await_clean(run)
    finally:
        switch_probe_off(qa.stack, probe)
    assert {order["undo_reason"] for order in orders.values()} == {"requested"}
    live_s = at(row["undo_asked_at"]) - at(row["bitten_at"])
    # Seconds count from the first that failed, which may be before the bite was seen.
    assert ABORT_AFTER_S - 2 <= live_s < 15, "ended by the condition, and by nothing else"
    [alarm] = [e for e in qa.timeline(run) if e["data"].get("alarm") == "stop_condition"]
    assert (alarm["data"]["probe"], alarm["data"]["seconds"]) == (probe, ABORT_AFTER_S)
    assert (row["doubt"], row["verdict"]) == ("", "broke"), row["reason"]
    assert qa.query(
        "SELECT 1 AS n FROM gamedays_finding WHERE injection_id = %s AND symptom->>'kind' = 'stop'",
        run,
    )
    assert 'data-alarm="stop_condition"' in qa.vera.get(f"/runs/{run}/")[1]


def _place(url: str) -> dict[str, object]:
    host, port = url.removeprefix("https://").split(":")
    return {"host": host, "port": int(port)}
