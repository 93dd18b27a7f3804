"""Contour scaled to zero: requests, Envoy's own figure, a route change, and a dead backend."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from tests.faults.cluster import QaCluster
from tests.faults.families import CLEAN_S, replicas
from tests.faults.verbs import make_probe, switch_probe_off
from tests.stack.running import wait_until

pytestmark = [pytest.mark.range, pytest.mark.timeout(700, func_only=True)]
HOLD_S = 90
"""A kubelet that still waits for an API server that is gone may end Contour's pods 35 s late."""
OBSERVE_S = 60
CONTOUR = ("projectcontour", "contour")


def test_contour_is_scaled_to_zero_and_the_run_shows_what_that_means(qa: QaCluster) -> None:
    wanted = replicas(qa, *CONTOUR)
    assert wanted > 0
    wait_until(lambda: _connected(qa) == {1}, within_s=120, what="every Envoy is connected")
    probe = make_probe(
        qa.stack,
        kind="http",
        title="Prices, through Envoy",
        parameters={"url": qa.look.facts.shop_url, "host": "prices.qa.local"},
        felt_by_users=True,
    )
    try:
        run = qa.start(
            "envoy-control-plane-down",
            mode="scale",
            hold_s=HOLD_S,
            observe_s=OBSERVE_S,
            backend="shop/prices",
        )
        qa.await_active(run)
        assert replicas(qa, *CONTOUR) == 0
        wait_until(lambda: _connected(qa) == {0}, within_s=HOLD_S, what="no Envoy is connected")
        qa.await_state(run, "observing", within_s=HOLD_S + 180)
        row = qa.await_clean(run, within_s=CLEAN_S)
    finally:
        switch_probe_off(qa.stack, probe)
    assert replicas(qa, *CONTOUR) == wanted
    assert _connected(qa) == {1}
    assert row["doubt"] == ""
    lines = {line["key"]: line for line in row["judgement"]}

    # Requests on existing routes go on; those to the backend that died meanwhile are the risk.
    assert lines["traffic:shop"]["result"] == "held", lines["traffic:shop"]
    backend = lines["meanwhile:backend"]
    assert backend["result"] == "held", backend
    dead = lines[f"traffic:{probe}"]["measured"]
    assert dead["passed"] < dead["attempts"], "no request met the dead backend"
    assert row["verdict"] == "broke", "Envoy sent requests to a pod that was gone"

    # Envoy's own figure: 0 while it lasts, 1 again afterwards.
    for node in qa.look.nodes:
        line = lines[f"connected:envoy-connected-{node.name}"]
        assert line["result"] == "held", line
        seen = _outcomes(qa, row, f"envoy-connected-{node.name}")
        assert False in seen["live"], f"{node.name} never said that it lost its control plane"

    # A route that was changed meanwhile waits, and applies afterwards.
    assert lines["route-changes:route-change"]["result"] == "held", lines
    seen = _outcomes(qa, row, "route-change")
    assert seen["live"][-1] is False, "the change of the route reached Envoy all the same"
    assert seen["after"][-1] is True
    _status, page = qa.vera.get(f"/runs/{run}/")
    assert "Route changes reach Envoy" in page
    assert backend["measured"]["successor"] in page


def _connected(qa: QaCluster) -> set[int]:
    """What every Envoy says itself of its connections to its control plane."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    found = set()
    for base in qa.look.facts.envoy_stats:
        with opener.open(f"{base}/stats?filter=connected_state", timeout=5) as answer:
            for line in answer.read().decode().splitlines():
                found.add(int(line.rpartition(":")[2]))
    return found


def _outcomes(qa: QaCluster, row: dict[str, Any], probe: str) -> dict[str, list[bool]]:
    """Whether each known look passed: while the fault was live, and after the restore."""
    blocks = qa.query(
        "SELECT b.started_at, b.samples FROM gamedays_sampleblock b "
        "JOIN gamedays_probe p ON p.id = b.probe_id "
        "WHERE b.injection_id = %s AND p.key = %s ORDER BY b.started_at",
        str(row["id"]),
        probe,
    )
    found: dict[str, list[bool]] = {"live": [], "after": []}
    for block in blocks:
        samples = block["samples"]
        samples = json.loads(samples) if isinstance(samples, str) else samples
        for offset_ms, passed, attempts, _latency, _detail in sorted(samples):
            at = block["started_at"].timestamp() + offset_ms / 1000
            if not attempts:
                continue
            if row["bitten_at"].timestamp() <= at < row["undo_asked_at"].timestamp():
                found["live"].append(bool(passed))
            elif at >= row["restored_at"].timestamp():
                found["after"].append(bool(passed))
    return found
