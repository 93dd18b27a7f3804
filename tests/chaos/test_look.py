"""The look from beside notices every trace that a fault could leave on a node or in the API."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from tests.chaos import look
from tests.chaos.look import Beside
from tests.chaos.owner import Owner, unready_of, wanted_hash
from tests.chaos.plan import Family, Fault
from tests.faults.nodes import ClusterLook, NodeLook


class FakeOwner:
    """What the API answers to the cluster's owner."""

    def __init__(self) -> None:
        self.objects = {"deployments shop/prices": "a"}
        self.of_runs: list[str] = []

    def contents(self) -> dict[str, str]:
        return dict(self.objects)

    def accounts(self) -> list[str]:
        return list(self.of_runs)


@pytest.fixture
def node(tmp_path: Path) -> NodeLook:
    """One node's disk, with nothing wrong on it."""
    (tmp_path / "etc/kubernetes/manifests").mkdir(parents=True)
    (tmp_path / "etc/kubernetes/manifests/etcd.yaml").write_text("etcd\n")
    (tmp_path / "var/lib/belay-guard").mkdir(parents=True)
    return NodeLook(
        name="qa-1", api_server="", root=tmp_path, cgroup="x", tls=cast("ssl.SSLContext", None)
    )


@pytest.fixture
def beside(node: NodeLook, monkeypatch: pytest.MonkeyPatch) -> Beside:
    """Stands beside that one node; its kernel drops nothing."""
    monkeypatch.setattr(look, "cuts", lambda _node: [])
    found = Beside.__new__(Beside)
    found.cluster = ClusterLook(facts=cast("Any", None), nodes=(node,))
    found.owner = cast("Owner", FakeOwner())
    return found


def _order(node: NodeLook, *, phase: str, kind: str = "hold") -> None:
    order = {"phase": phase, "detail": "", "recipe": {"order_id": "o", "fault": {"kind": kind}}}
    (node.root / "var/lib/belay-guard/order.json").write_text(json.dumps({"order": order}))


def _stash(node: NodeLook) -> None:
    (node.root / "etc/kubernetes/.belay-stash/o").mkdir(parents=True)


def _chmod(node: NodeLook) -> None:
    node.manifest_path("etcd").chmod(0o666)


TRACES: dict[str, Callable[[NodeLook], object]] = {
    "manifests/etcd.yaml is gone": lambda node: node.manifest_path("etcd").unlink(),
    "manifests/etcd.yaml is not as before": _chmod,
    "manifests/etcd.yaml.old is new": lambda node: (
        node.manifest_path("etcd").with_name("etcd.yaml.old").write_text("left\n")
    ),
    "the stash holds o": _stash,
    "order o is injected": lambda node: _order(node, phase="injected"),
}


@pytest.mark.parametrize("says", TRACES)
def test_every_trace_on_a_node_is_seen(beside: Beside, node: NodeLook, says: str) -> None:
    before = beside.before()
    assert beside.left_on_nodes(before) == []
    TRACES[says](node)
    assert any(says in sentence for sentence in beside.left_on_nodes(before))


def test_packets_that_the_kernel_drops_are_seen(
    beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = beside.before()
    monkeypatch.setattr(look, "cuts", lambda _node: ["table inet belay_guard"])
    assert beside.left_on_nodes(before) == ["qa-1: drops packets: table inet belay_guard"]


def test_a_drill_is_no_fault_and_is_still_told(beside: Beside, node: NodeLook) -> None:
    before = beside.before()
    _order(node, phase="injected", kind="drill")
    (node.root / "var/lib/belay-guard/drill").write_text("o\n")
    assert beside.left_on_nodes(before) == []
    assert beside.drills() == ["qa-1: a drill is injected", "qa-1: a drill's file is there"]


def _fault(**parameters: str) -> Fault:
    return Fault(family=Family.API, scenario="x", parameters=parameters, nodes=("qa-1",))


def test_a_fault_that_is_said_to_be_live_and_is_not_there_is_told(
    beside: Beside, node: NodeLook, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = beside.before()
    faults = [_fault(mode="hold"), _fault(flag="x"), _fault(mode="cut"), _fault(mode="scale")]
    assert all(len(beside.not_bitten(fault, before)) == 1 for fault in faults)
    node.manifest_path("etcd").unlink()
    monkeypatch.setattr(look, "cuts", lambda _node: ["table inet belay_guard"])
    cast("FakeOwner", beside.owner).objects = {}
    assert all(beside.not_bitten(fault, before) == [] for fault in faults)


def test_objects_and_accounts_that_are_left_are_seen(beside: Beside) -> None:
    before = beside.before()
    owner = cast("FakeOwner", beside.owner)
    owner.objects["deployments shop/prices"] = "b"
    owner.of_runs = ["roles belay-run-1"]
    assert beside.left_in_api(before) == [
        "deployments shop/prices is not as before",
        "roles belay-run-1 is left of a run",
    ]


def test_an_object_is_what_somebody_wanted_and_a_node_whether_pods_may_come() -> None:
    deployment = {"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 1}, "status": {}}
    noted = deployment | {"metadata": {"resourceVersion": "2"}, "status": {"replicas": 1}}
    assert wanted_hash(deployment) == wanted_hash(noted)
    assert wanted_hash(deployment) != wanted_hash(deployment | {"spec": {"replicas": 0}})
    node = {"spec": {"podCIDR": "10.0.0.0/24"}}
    tainted = {"spec": {"podCIDR": "10.0.0.0/24", "taints": [{"key": "unreachable"}]}}
    assert wanted_hash(node) == wanted_hash(tainted)
    cordoned = {"spec": {"podCIDR": "10.0.0.0/24", "unschedulable": True}}
    assert wanted_hash(node) != wanted_hash(cordoned)


def test_pods_that_are_not_ready_and_deployments_that_are_short_are_told() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    ill = {"conditions": [{"type": "Ready", "status": "False"}], "phase": "Running"}
    pods: list[dict[str, Any]] = [
        {"metadata": {"name": "a"}, "status": ready},
        {"metadata": {"name": "b"}, "status": ill},
        {"metadata": {"name": "c"}, "status": {"phase": "Succeeded"}},
    ]
    short = {
        "metadata": {"name": "d"}, "spec": {"replicas": 2}, "status": {"availableReplicas": 1}
    }  # fmt: skip
    assert unready_of(nodes=[], pods=pods, deployments=[short]) == [
        "pod b is not ready",
        "deployment d has 1 of 2 pods",
    ]
