"""Every API server away for more than six minutes: the run itself sees what comes back late."""

from __future__ import annotations

import os

import pytest

from tests.faults.cluster import QaCluster
from tests.faults.families import finish
from tests.stack.running import wait_until

pytestmark = [pytest.mark.range, pytest.mark.long, pytest.mark.timeout(2400, func_only=True)]
HOLD_S = 380
OBSERVE_S = 300
CRASHED = "CrashLoopBackOff"


def test_contour_in_crash_loop_after_a_long_outage_is_broke_with_the_evidence(
    qa: QaCluster,
) -> None:
    """Nobody planted it: Contour's replicas lose their leader election, exit, and wait out the
    back-off of their crash loop long after the API is back."""
    assert os.environ.get("BELAY_TEST_LONG") == "1", (
        "a range with the kubelets' own back-off is needed: run it with `make test-long`"
    )
    run = qa.start("api-servers-down", mode="hold", hold_s=HOLD_S, observe_s=OBSERVE_S)
    qa.await_active(run)
    assert len(qa.nodes_down()) == 3
    qa.await_state(run, "observing", within_s=HOLD_S + 300)
    wait_until(
        lambda: CRASHED in qa.vera.get(f"/runs/{run}/")[1],
        within_s=60,
        what="the page shows the crash loop while the run is watched",
        every_s=2.0,
    )
    row = finish(qa, run)
    assert row["verdict"] == "broke", row["reason"]
    [line] = [line for line in row["judgement"] if line["key"] == "pods"]
    assert line["result"] == "broke", line
    told = [*line["measured"]["lost"], *line["measured"]["late"]]
    contour = [pod for pod in told if pod["name"].startswith("contour-")]
    assert contour, told
    assert {pod["reason"] for pod in contour} == {CRASHED}
    assert CRASHED in row["reason"]
    lines = {one["key"]: one for one in row["judgement"]}
    assert lines["traffic:shop"]["result"] == "held", "users noticed"
    assert lines["mass-termination"]["result"] == "held"
    [finding] = qa.query(
        "SELECT happened, symptom FROM gamedays_finding "
        "WHERE injection_id = %s AND symptom->>'kind' = 'pods'",
        run,
    )
    assert "contour-" in finding["happened"]
    assert CRASHED in finding["happened"]
