"""A range with one control plane and two workers: the shape of most people's QA cluster."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from practice import look, network, nodes
from practice.cluster import Object, get
from practice.facts import RangeFacts
from practice.plan import Plan, load_plan
from practice.system import REPOSITORY, wait_until
from practice.trickle import shop_answers
from tests.practice.plugin import practice

pytestmark = [pytest.mark.range, pytest.mark.timeout(600, func_only=True)]
WORKERS = ("qa-w1", "qa-w2")
ANYWHERE = ("kube-proxy-", "coredns-")
"""Pods that bear the control plane's taint."""


@pytest.fixture
def plan(mixed_range: RangeFacts) -> Plan:
    return load_plan(mixed_range.name)


def is_ready(node: Object) -> bool:
    [ready] = [c for c in node["status"]["conditions"] if c["type"] == "Ready"]
    return bool(ready["status"] == "True")


def test_every_node_is_ready_and_known_for_what_it_is(plan: Plan, mixed_range: RangeFacts) -> None:
    found = {node["metadata"]["name"]: node for node in get(plan, "nodes")["items"]}
    assert sorted(found) == ["qa-1", *WORKERS]
    assert all(is_ready(node) for node in found.values())
    role = "node-role.kubernetes.io/control-plane"
    assert [name for name, node in found.items() if role in node["metadata"]["labels"]] == ["qa-1"]
    assert [(f.name, f.control_plane, bool(f.api_server)) for f in mixed_range.nodes] == [
        ("qa-1", True, True), ("qa-w1", False, False), ("qa-w2", False, False),
    ]  # fmt: skip


def test_workers_run_no_control_plane_and_everything_else(plan: Plan) -> None:
    for name in WORKERS:
        running = look.processes(plan.name, name)
        assert not {"etcd", "kube-apiserver", "kube-scheduler"} & set(running), running
        assert running["kubelet"]
        assert not [file for file in look.manifests(plan.name, name) if file != "belay-guard.yaml"]
    where = {
        item["metadata"]["name"]: item["spec"]["nodeName"]
        for item in get(plan, "pods", "-A")["items"]
        if "kubernetes.io/config.mirror" not in item["metadata"].get("annotations", {})
    }
    strayed = {p for p, n in where.items() if n == "qa-1" and not p.startswith(ANYWHERE)}
    assert strayed == set(), "the control plane's taint keeps ordinary pods away"
    assert shop_answers(plan)


def test_status_calls_it_whole_and_up_leaves_it_alone(plan: Plan) -> None:
    state = json.loads(practice("status", "--name", plan.name, "--json"))
    assert state["whole"]
    assert [(n["name"], n["api_ready"]) for n in state["nodes"]] == [
        ("qa-1", True), ("qa-w1", None), ("qa-w2", None),
    ]  # fmt: skip
    assert "qa-w2" in practice("status", "--name", plan.name)
    assert "is up" in practice("up", "--name", plan.name)


def test_other_nodes_are_refused_while_it_stands(plan: Plan) -> None:
    other = [sys.executable, "-m", "practice", "up", "--name", plan.name, "--workers", "3"]
    done = subprocess.run(other, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "has 1 control-plane node and 2 workers" in done.stderr


def test_a_worker_is_unplugged_and_comes_back(plan: Plan) -> None:
    before = look.processes(plan.name, "qa-w1")
    practice("restart-node", "qa-w1", "--name", plan.name)
    node = plan.node("qa-w1")
    wait_until(lambda: nodes.kubelet_healthy(node), timeout=120, what="kubelet of qa-w1", every=1.0)
    assert not set(look.processes(plan.name, "qa-w1")["kubelet"]) & set(before["kubelet"])
    wait_until(
        lambda: is_ready(get(plan, "node", "qa-w1")), timeout=120, what="qa-w1 ready", every=1.0
    )
    assert len({name for name in network.link_names() if name.startswith(f"{plan.bridge}-")}) == 3
