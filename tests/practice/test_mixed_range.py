"""A range with one control plane and two workers: the shape of most people's QA cluster."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from core.onboarding.objects import taking_back
from practice import look, network, nodes, owner
from practice.cluster import Object, get
from practice.facts import RangeFacts
from practice.plan import Plan, load_plan
from practice.system import REPOSITORY, wait_until
from practice.trickle import shop_answers
from tests.faults.cluster import ETCD_DOWN, QaCluster, RefusedError
from tests.faults.nodes import GUARD_WORKER, ClusterLook
from tests.practice.owners import belay, kubeconfig_with_a_login, take_back, taking_back_in
from tests.practice.plugin import practice
from tests.stack.running import RunningStack

pytestmark = [pytest.mark.range, pytest.mark.long, pytest.mark.timeout(600, func_only=True)]
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


def test_a_cluster_of_ones_own_from_its_owners_login_to_two_runs(
    plan: Plan, mixed_range: RangeFacts, tmp_path: Path
) -> None:
    """What the README says under that heading, on a cluster that Belay did not prepare."""
    take_back(plan, taking_back(owner.everything("", [node.name for node in plan.nodes])))
    login = kubeconfig_with_a_login(Path(mixed_range.admin_kubeconfig), tmp_path)
    onboard = ("cluster", "onboard", "qa-range", f"--kubeconfig={login}", "--faults-in=shop")
    said = belay(*onboard, folder=tmp_path, typed="qa-range\n")
    assert "Fewer than three control-plane nodes: no etcd member can be taken away." in said
    ours = tmp_path / "belay.kubeconfig"
    assert stat.S_IMODE(ours.stat().st_mode) == 0o600
    assert "exec" not in ours.read_text()

    running = RunningStack.start(Path(f"/tmp/belay-own-{os.getpid()}"), range_name=None)
    try:
        register = (
            "cluster",
            "register",
            "qa-range",
            f"--kubeconfig={ours}",
            "--team=Payments platform",
        )
        running.manage(*register, "--probe", f"Shop, legacy={mixed_range.legacy_url}")
        keeper = (f"--kubeconfig={mixed_range.admin_kubeconfig}", "--image")
        guard = ("guard", "install", "qa-range", *keeper, mixed_range.guard_image)
        running.manage(*guard, timeout_s=300)
        control_plane = [node for node in mixed_range.nodes if node.control_plane]
        qa = QaCluster(running, ClusterLook.of(replace(mixed_range, nodes=control_plane)))

        with pytest.raises(RefusedError, match="needs 3 control-plane nodes") as refusal:
            qa.start(ETCD_DOWN, node="qa-1")
        assert refusal.value.code == "scenario_not_here"
        # One fault on the node, and one on an object with an account minted for that run.
        for scenario, parameters in (
            ("scheduler-down", {}),
            ("wrong-configuration", {"change": "bad-image", "target": "shop/prices"}),
        ):
            run = qa.start(scenario, **parameters)
            row = qa.await_clean(run, within_s=300)
            assert (row["doubt"], row["verdict"]) == ("", "held"), row["judgement"]
        running.manage("guard", "uninstall", "qa-range", *keeper[:1], timeout_s=300)
    finally:
        running.end()
    wait_until(
        lambda: not qa.look.node("qa-1").guard(GUARD_WORKER), timeout=60, what="no guard runs"
    )
    take_back(plan, taking_back_in(said))
    kinds = "namespaces,clusterroles,clusterrolebindings,roles,rolebindings"
    policies = "validatingadmissionpolicies,validatingadmissionpolicybindings"
    left = [
        f"{item['kind']} {item['metadata']['name']}"
        for item in get(plan, f"{kinds},{policies}", "-A")["items"]
        if item["metadata"]["name"].startswith("belay")
    ]
    assert left == []
