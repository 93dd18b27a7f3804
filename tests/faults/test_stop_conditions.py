"""A probe that is marked *abort when* ends a fault by itself; a late conductor changes nothing."""

from __future__ import annotations

import json
import signal

import pytest

from tests.faults.cluster import QaCluster, at
from tests.faults.quick_rows import signal_all
from tests.faults.stale import await_left, threads
from tests.faults.verbs import make_probe, switch_probe_off

pytestmark = [pytest.mark.range, pytest.mark.timeout(400, func_only=True)]
ABORT_AFTER_S = 3
HOLD_S = 120
TAKEOVER_S = 15 + 5
PRICES = ("deployment", "prices", "-n", "shop")


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
        run = qa.start(hold_s=HOLD_S)
        qa.await_active(run)
        orders = qa.await_undo_on_guards(run, within_s=ABORT_AFTER_S + 12)
        row = qa.await_clean(run)
    finally:
        switch_probe_off(qa.stack, probe)
    assert {order["undo_reason"] for order in orders.values()} == {"requested"}
    live_s = at(row["undo_asked_at"]) - at(row["bitten_at"])
    assert ABORT_AFTER_S - 1 <= live_s < 15, "ended by the condition, and by nothing else"
    [alarm] = [e for e in qa.timeline(run) if e["data"].get("alarm") == "stop_condition"]
    assert (alarm["data"]["probe"], alarm["data"]["seconds"]) == (probe, ABORT_AFTER_S)
    assert (row["doubt"], row["verdict"]) == ("", "broke"), row["reason"]
    assert qa.query(
        "SELECT 1 AS n FROM gamedays_finding WHERE injection_id = %s AND symptom->>'kind' = 'stop'",
        run,
    )
    assert 'data-alarm="stop_condition"' in qa.vera.get(f"/runs/{run}/")[1]


def test_row_45_a_conductor_that_wakes_up_after_the_undo_changes_nothing(qa: QaCluster) -> None:
    """Stopped between its commit of `injecting` and its call to the guard; the watchdog undoes;
    then it goes on. Neither its call nor the change itself, sent late, has any effect."""
    version, image = _prices(qa)
    idle = threads(qa)
    run = qa.start("wrong-configuration", change="bad-image", target="shop/prices")
    qa.await_quickly(run, "armed", "injecting", within_s=60)
    qa.step_until("worker-faults", lambda rows: rows.state(run) == "injecting", within_s=10)
    conductor = qa.stack.marks("worker-faults")
    try:
        qa.await_undo_on_guards(run, within_s=TAKEOVER_S)
        qa.await_clean(run)
    finally:
        signal_all(conductor, signal.SIGCONT)
    await_left(qa, idle)
    assert not (qa.look.node("qa-1").order() or {})["injected_at"], "caught after the inject"
    armed = qa.row(run)["recipe"]["faults"]["qa-1"]["objects"][0]["resource_version"]
    assert armed == version
    late = {"metadata": {"resourceVersion": armed}, "spec": {"replicas": 0}}
    with pytest.raises(AssertionError, match="the object has been modified"):
        qa.look.kubectl("patch", *PRICES, "--type=merge", "-p", json.dumps(late))
    assert _prices(qa)[1] == image
    assert qa.states(run).count("injecting") == 1
    assert qa.row(run)["verdict"] == "inconclusive"
    assert run in qa.look.node("qa-1").tombstones()


def _place(url: str) -> dict[str, object]:
    host, port = url.removeprefix("https://").split(":")
    return {"host": host, "port": int(port)}


def _prices(qa: QaCluster) -> tuple[str, str]:
    """Version and image of the Deployment."""
    found = json.loads(qa.look.kubectl("get", *PRICES, "-o", "json"))
    [container] = found["spec"]["template"]["spec"]["containers"]
    return found["metadata"]["resourceVersion"], container["image"]
