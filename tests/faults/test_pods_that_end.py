"""Pods that a fault itself ends: a drained node's, and a Deployment's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.faults.cluster import JUDGED_S, QaCluster
from tests.faults.families import finish, result

pytestmark = [pytest.mark.range, pytest.mark.long, pytest.mark.timeout(700, func_only=True)]
SHORT_S = 15
NODE = "qa-3"
STAYS = ("Node", "DaemonSet")
"""Owners of pods that a drain leaves alone."""


def _pods(qa: QaCluster, *where: str) -> dict[str, dict[str, Any]]:
    """UID → pod, but for those that are ending."""
    found = json.loads(qa.look.kubectl("get", "pods", *where, "-o", "json"))["items"]
    return {
        pod["metadata"]["uid"]: pod
        for pod in found
        if "deletionTimestamp" not in pod["metadata"]
    }  # fmt: skip


def _movable(qa: QaCluster) -> set[str]:
    return {
        uid
        for uid, pod in _pods(qa, "-A", f"--field-selector=spec.nodeName={NODE}").items()
        if pod["metadata"].get("ownerReferences", [{"kind": ""}])[0]["kind"] not in STAYS
    }


def _closed(qa: QaCluster) -> bool:
    node = json.loads(qa.look.kubectl("get", "node", NODE, "-o", "json"))
    return bool(node["spec"].get("unschedulable"))


def test_a_node_is_drained_and_opened_again(qa: QaCluster) -> None:
    before = _movable(qa)
    assert before, f"nothing to evict runs on {NODE}"
    run = qa.start("node-drained", node=NODE, hold_s=SHORT_S, observe_s=JUDGED_S)
    qa.await_active(run)
    assert _closed(qa)
    assert not before & _movable(qa), "a pod that a drain evicts was left"
    row = finish(qa, run)
    assert not _closed(qa)
    assert result(row, "terminations") == {"held"}, "what the fault itself ends is expected"
    assert not before & set(_pods(qa, "-A")), "an evicted pod came back to life"


@pytest.mark.parametrize("how_many", ["one", "all"])
def test_pods_of_a_deployment_are_deleted(qa: QaCluster, how_many: str) -> None:
    where = ("-n", "shop", "--selector=app=shop")
    before = set(_pods(qa, *where))
    assert len(before) > 1
    run = qa.start(
        "pods-killed", target="shop/shop", how_many=how_many, hold_s=SHORT_S, observe_s=JUDGED_S
    )
    qa.await_active(run)
    gone = before - set(_pods(qa, *where))
    assert len(gone) == (1 if how_many == "one" else len(before))
    row = finish(qa, run)
    assert result(row, "terminations") == {"held"}
    assert len(_pods(qa, *where)) == len(before)
