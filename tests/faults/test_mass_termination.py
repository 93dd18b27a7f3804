"""Mass termination with real evictions: found, told while it happens, fixed, and proved fixed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from practice.cluster import wait_rolled_out
from practice.plan import load_plan
from tests.faults.cluster import JUDGED_S, QaCluster
from tests.faults.verbs import fix_and_reverify
from tests.practice.plugin import practice
from tests.stack.running import wait_until

pytestmark = [pytest.mark.range, pytest.mark.timeout(900, func_only=True)]
HOLD_S = 30
"""The keeper taints about twelve seconds after the bite; the evictions follow at once."""
CLEAN_S = 400
EVICTED = (
    ("kube-system", "coredns"),
    ("registry", "registry"),
    ("shop", "shop"),
    ("shop", "prices"),
    ("shop", "vouchers"),
)


@pytest.fixture
def weakened(qa: QaCluster) -> Iterator[QaCluster]:
    """The range with the edge keeper on it; afterwards without it, and whole."""
    name = qa.look.facts.name
    practice("weaken", "edge-keeper", "--name", name)
    try:
        yield qa
    finally:
        practice("weaken", "edge-keeper", "--undo", "--name", name)
        _await_whole(qa)


def test_found_told_fixed_and_verified(weakened: QaCluster) -> None:
    qa = weakened
    before = _pods(qa)
    run = qa.start("envoy-control-plane-down", mode="cut", hold_s=HOLD_S, observe_s=JUDGED_S)
    qa.await_active(run)
    alarm = wait_until(lambda: _alarm(qa, run), within_s=HOLD_S + 60, what="alarm", every_s=0.5)
    assert qa.state(run) not in ("clean", "resolved_by_hand"), "told only when it was over"
    _status, page = qa.vera.get(f"/runs/{run}/")
    assert 'data-alarm="mass_termination"' in page

    row = qa.await_clean(run, within_s=CLEAN_S)
    assert row["verdict"] == "broke", row["reason"]
    [finding] = qa.query(
        "SELECT id, happened, symptom, severity FROM gamedays_finding "
        "WHERE injection_id = %s AND symptom->>'kind' = 'terminations'",
        run,
    )
    now = _pods(qa)
    gone = {name for uid, name in before.items() if uid not in now}
    told = {f"{p['namespace']}/{p['name']}" for p in finding["symptom"]["measured"]["terminated"]}
    assert told == gone, "the finding lists the pods that are gone, and no other"
    assert {f"{p['namespace']}/{p['name']}" for p in alarm["data"]["terminated"]} <= told
    assert all(name in finding["happened"] for name in told)
    assert finding["severity"] == "critical"

    practice("fix", "edge-keeper-effect", "--name", qa.look.facts.name)
    _await_whole(qa)
    again = fix_and_reverify(
        qa.stack, finding=finding["id"], what="The keeper taints with NoSchedule."
    )
    row = qa.await_clean(again, within_s=CLEAN_S)
    assert _alarm(qa, again) is None
    [after] = qa.query("SELECT status FROM gamedays_finding WHERE id = %s", finding["id"])
    assert after["status"] == "verified_fixed", row["reason"]


def _await_whole(qa: QaCluster) -> None:
    plan = load_plan(qa.look.facts.name)
    for namespace, name in EVICTED:
        wait_rolled_out(plan, namespace, "deployment", name, timeout=180)


def _alarm(qa: QaCluster, run: str) -> dict[str, Any] | None:
    alarms = [e for e in qa.timeline(run) if e["data"].get("alarm") == "mass_termination"]
    return alarms[0] if alarms else None


def _pods(qa: QaCluster) -> dict[str, str]:
    """UID → namespace/name of every pod that the API lists, static ones left out."""
    found = json.loads(qa.look.kubectl("get", "pods", "-A", "-o", "json"))["items"]
    return {
        pod["metadata"]["uid"]: f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        for pod in found
        if "kubernetes.io/config.mirror" not in pod["metadata"].get("annotations", {})
    }
