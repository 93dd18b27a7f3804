"""Every family of faults through the whole product: booked, injected, undone, proved."""

from __future__ import annotations

import json

import pytest

from tests.faults.cluster import JUDGED_S, QaCluster
from tests.faults.families import finish, result
from tests.faults.network import reaches, table

pytestmark = [pytest.mark.range, pytest.mark.timeout(500, func_only=True)]
REGISTRY, ENVOY = "registry-unusable", "envoy-control-plane-down"


@pytest.mark.long
@pytest.mark.parametrize(
    ("flag", "component"),
    [
        ("unknown-scheduler-flag", "kube-scheduler"),
        ("etcd-elsewhere", "kube-apiserver"),
    ],
)
def test_a_bad_flag_in_one_manifest_whose_undo_was_rehearsed_there(
    qa: QaCluster, flag: str, component: str
) -> None:
    node = qa.look.node("qa-2")
    files, before = node.manifests(), node.processes(component)
    run = qa.start("bad-control-plane-flag", node=node.name, flag=flag, observe_s=JUDGED_S)
    qa.await_active(run)
    assert not before & node.processes(component), "the old process is gone"
    changed = {name for name, mark in files.items() if node.manifests().get(name) != mark}
    assert changed == {f"{component}.yaml"}
    _assert_rehearsed(qa, run, node.name)
    finish(qa, run)
    assert node.manifests() == files
    assert node.processes(component)
    assert not before & node.processes(component)


@pytest.mark.parametrize(
    ("scenario", "component", "mode"),
    [
        pytest.param("scheduler-down", "kube-scheduler", "hold", marks=pytest.mark.long),
    ],
)
def test_a_leader_elected_component_goes_away_everywhere(
    qa: QaCluster, scenario: str, component: str, mode: str
) -> None:
    before = qa.look.processes(component)
    assert all(before.values())
    run = qa.start(scenario, mode=mode, observe_s=JUDGED_S)
    qa.await_active(run)
    now = qa.look.processes(component)
    assert all(not before[name] & now[name] for name in before)
    if mode == "hold":
        assert qa.nodes_down(component) == sorted(before)
    row = finish(qa, run)
    assert result(row, "terminations") == {"held"}
    assert qa.nodes_down(component) == []


@pytest.mark.parametrize(
    ("scenario", "namespace", "service"),
    [
        pytest.param(REGISTRY, "registry", "registry", marks=pytest.mark.long),
        (ENVOY, "projectcontour", "contour"),
    ],
)
def test_a_service_is_cut_off_on_every_node(
    qa: QaCluster, scenario: str, namespace: str, service: str
) -> None:
    found = json.loads(qa.look.kubectl("get", "service", "-n", namespace, service, "-o", "json"))
    port = found["spec"]["ports"][0]
    places = [(found["spec"]["clusterIP"], port["port"])]
    if "nodePort" in port:
        places.append((qa.look.facts.nodes[0].address, port["nodePort"]))
    assert all(reaches(node, *place) for node in qa.look.nodes for place in places)
    run = qa.start(scenario, mode="cut", observe_s=JUDGED_S)
    qa.await_active(run)
    left = [
        (node.name, place) for node in qa.look.nodes for place in places if reaches(node, *place)
    ]
    assert left == []
    row = finish(qa, run)
    assert all(reaches(node, *place) for node in qa.look.nodes for place in places)
    for node in qa.look.nodes:
        assert table(node) == "", f"{node.name} still has rules of ours"
    assert "broke" not in result(row, "probe"), row["reason"]


def _assert_rehearsed(qa: QaCluster, run: str, node: str) -> None:
    """A drill on exactly the node that the fault aims at, stored, and before the arming."""
    drills = qa.query(
        "SELECT node, succeeded, at FROM gamedays_undorehearsal WHERE injection_id = %s", run
    )
    assert [(drill["node"], drill["succeeded"]) for drill in drills] == [(node, True)]
    assert drills[0]["at"] < qa.row(run)["armed_at"]
