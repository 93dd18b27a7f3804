"""Every family of faults through the whole product: booked, injected, undone, proved."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.faults.cluster import QaCluster
from tests.faults.nodes import NodeLook

pytestmark = [pytest.mark.range, pytest.mark.timeout(500, func_only=True)]
REGISTRY, ENVOY = "registry-unusable", "envoy-control-plane-down"
CLEAN_S = 400
"""Hold, the longest recovery budget, and the watching after it."""


def _finish(qa: QaCluster, run: str) -> dict[str, Any]:
    """To the end; whatever the verdict, it is one that was measured."""
    row = qa.await_clean(run, within_s=CLEAN_S)
    assert (row["doubt"], row["bitten_at"] is not None) == ("", True)
    assert row["verdict"] in ("held", "broke"), row["reason"]
    return row


def _result(row: dict[str, Any], kind: str) -> set[str]:
    return {line["result"] for line in row["judgement"] if line["kind"] == kind}


@pytest.mark.parametrize(
    ("flag", "component"),
    [
        ("etcd-elsewhere", "kube-apiserver"),
    ],
)
def test_a_bad_flag_in_one_manifest(qa: QaCluster, flag: str, component: str) -> None:
    node = qa.look.node("qa-2")
    files, before = node.manifests(), node.processes(component)
    run = qa.start("bad-control-plane-flag", node=node.name, flag=flag)
    qa.await_active(run)
    assert not before & node.processes(component), "the old process is gone"
    changed = {name for name, mark in files.items() if node.manifests().get(name) != mark}
    assert changed == {f"{component}.yaml"}
    _finish(qa, run)
    assert node.manifests() == files
    assert node.processes(component)
    assert not before & node.processes(component)


@pytest.mark.parametrize(
    ("scenario", "component", "mode"),
    [
        ("scheduler-down", "kube-scheduler", "hold"),
    ],
)
def test_a_leader_elected_component_goes_away_everywhere(
    qa: QaCluster, scenario: str, component: str, mode: str
) -> None:
    before = qa.look.processes(component)
    assert all(before.values())
    run = qa.start(scenario, mode=mode)
    qa.await_active(run)
    now = qa.look.processes(component)
    assert all(not before[name] & now[name] for name in before)
    if mode == "hold":
        assert qa.nodes_down(component) == sorted(before)
    row = _finish(qa, run)
    assert _result(row, "terminations") == {"held"}
    assert qa.nodes_down(component) == []


@pytest.mark.parametrize(
    ("scenario", "namespace", "service"),
    [(REGISTRY, "registry", "registry"), (ENVOY, "projectcontour", "contour")],
)
def test_a_service_is_cut_off_on_every_node(
    qa: QaCluster, scenario: str, namespace: str, service: str
) -> None:
    found = json.loads(qa.look.kubectl("get", "service", "-n", namespace, service, "-o", "json"))
    port = found["spec"]["ports"][0]
    places = [(found["spec"]["clusterIP"], port["port"])]
    if "nodePort" in port:
        places.append((qa.look.facts.nodes[0].address, port["nodePort"]))
    assert all(_reaches(node, *place) for node in qa.look.nodes for place in places)
    run = qa.start(scenario, mode="cut")
    qa.await_active(run)
    left = [
        (node.name, place) for node in qa.look.nodes for place in places if _reaches(node, *place)
    ]
    assert left == []
    row = _finish(qa, run)
    assert all(_reaches(node, *place) for node in qa.look.nodes for place in places)
    for node in qa.look.nodes:
        assert _table(node) == "", f"{node.name} still has rules of ours"
    assert "broke" not in _result(row, "probe"), row["reason"]


def test_the_undo_was_rehearsed_before_the_fault(qa: QaCluster) -> None:
    """A drill on exactly the node that the fault aims at, stored, and before the arming."""
    run = qa.start("etcd-member-down", node="qa-3", hold_s=5)
    qa.await_active(run)
    row = qa.row(run)
    drills = qa.query(
        "SELECT node, succeeded, at FROM gamedays_undorehearsal WHERE injection_id = %s", run
    )
    assert [(drill["node"], drill["succeeded"]) for drill in drills] == [("qa-3", True)]
    assert drills[0]["at"] < row["armed_at"]
    qa.await_clean(run, within_s=CLEAN_S)


def _in_network(node: NodeLook, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program of this machine in the node's network."""
    inside = next(iter(node.processes("etcd"))).pid
    return subprocess.run(
        ["nsenter", "--target", str(inside), "--net", *words],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip


def _table(node: NodeLook) -> str:
    return _in_network(node, "nft", "list", "table", "inet", "belay_guard").stdout


def _reaches(node: NodeLook, address: str, port: int) -> bool:
    dial = f"exec 3<>/dev/tcp/{address}/{port}"
    return _in_network(node, "timeout", "2", "bash", "-c", dial).returncode == 0
