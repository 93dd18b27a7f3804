"""The edge keeper on a real range: many pods are evicted for real, and with the fix none is."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from practice import edge_keeper
from practice.cluster import Object, get, kubectl, wait_rolled_out
from practice.facts import RangeFacts
from practice.plan import Plan, load_plan
from practice.system import wait_until
from practice.trickle import shop_answers
from tests.practice.plugin import practice

pytestmark = [pytest.mark.range, pytest.mark.timeout(900, func_only=True)]
SHARE = 0.2
"""Above this share of pods lost, a run raises its alarm of mass termination."""
CONTOUR = ("deployment/contour", "-n", "projectcontour")
WORKLOADS = (
    ("kube-system", "deployment", "coredns"),
    ("projectcontour", "deployment", "contour"),
    ("projectcontour", "daemonset", "envoy"),
    ("registry", "deployment", "registry"),
    ("shop", "deployment", "shop"),
    ("shop", "deployment", "prices"),
    ("shop", "deployment", "vouchers"),
)


@pytest.fixture
def weakened(practice_range: RangeFacts) -> Iterator[Plan]:
    """The range with the keeper on it; afterwards without it, and whole."""
    plan = load_plan(practice_range.name)
    practice("weaken", "edge-keeper", "--name", plan.name)
    try:
        yield plan
    finally:
        kubectl(plan, ["scale", *CONTOUR, "--replicas=2"])
        practice("weaken", "edge-keeper", "--undo", "--name", plan.name)
        await_whole(plan)


def await_whole(plan: Plan) -> None:
    for namespace, kind, name in WORKLOADS:
        wait_rolled_out(plan, namespace, kind, name, timeout=180)
    wait_until(lambda: shop_answers(plan), timeout=60, what="the shop answers", every=0.5)


def pods(plan: Plan) -> dict[str, str]:
    """UID → namespace/name of every pod that is not on its way out, Contour's own left out."""
    return {
        item["metadata"]["uid"]: f"{item['metadata']['namespace']}/{item['metadata']['name']}"
        for item in get(plan, "pods", "-A")["items"]
        if "deletionTimestamp" not in item["metadata"]
        and not item["metadata"]["name"].startswith("contour-")
    }


def taints(plan: Plan) -> list[Object]:
    return [
        taint
        for node in get(plan, "nodes")["items"]
        for taint in node["spec"].get("taints", [])
        if taint["key"] == edge_keeper.TAINT
    ]


def without_contour(plan: Plan) -> set[str]:
    """Take Contour away until every node is tainted, then give it back; pods that went."""
    before = pods(plan)
    kubectl(plan, ["scale", *CONTOUR, "--replicas=0"])
    wait_until(lambda: len(taints(plan)) == len(plan.nodes), timeout=60, what="tainted", every=1)
    # The taint-eviction controller works on what it sees at once: a round of looks is enough.
    seen: list[int] = []

    def settled() -> bool:
        seen.append(len(set(before) - set(pods(plan))))
        return len(seen) >= 5 and len(set(seen[-5:])) == 1

    wait_until(settled, timeout=60, what="no further pod goes", every=1)
    lost = {name for uid, name in before.items() if uid not in pods(plan)}
    kubectl(plan, ["scale", *CONTOUR, "--replicas=2"])
    wait_until(lambda: not taints(plan), timeout=120, what="free of taints", every=1)
    await_whole(plan)
    return lost


@pytest.mark.long
def test_many_pods_are_evicted_and_with_the_fix_none_is(weakened: Plan) -> None:
    fixes = RangeFacts.load(weakened.name).weaknesses
    assert fixes["edge-keeper-effect"] is False
    total = len(pods(weakened))
    lost = without_contour(weakened)
    assert len(lost) > SHARE * total, f"{len(lost)} of {total}: {sorted(lost)}"
    assert any(name.startswith("shop/shop-") for name in lost)
    assert not any(name.startswith("kube-system/etcd-") for name in lost), "static pods stay"
    reasons = json.loads(kubectl(weakened, ["get", "events", "-n", "shop", "-o", "json"]))["items"]
    assert any(event["reason"] == "TaintManagerEviction" for event in reasons)

    practice("fix", "edge-keeper-effect", "--name", weakened.name)
    assert RangeFacts.load(weakened.name).weaknesses["edge-keeper-effect"]
    assert without_contour(weakened) == set()


def test_taken_away_it_leaves_nothing(weakened: Plan) -> None:
    practice("weaken", "edge-keeper", "--undo", "--name", weakened.name)
    kinds = "deployment,configmap,serviceaccount,clusterrole,clusterrolebinding"
    found = kubectl(weakened, ["get", kinds, "-A", "-o", "name"])
    assert "edge-keeper" not in found
    assert taints(weakened) == []
    assert "edge-keeper-effect" not in RangeFacts.load(weakened.name).weaknesses
