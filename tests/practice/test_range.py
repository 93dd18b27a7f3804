"""The range itself: raised for real, broken for real, looked at from outside."""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from practice import look, network, teardown
from practice.cluster import kubectl
from practice.facts import RangeFacts, read_progress
from practice.keeper import read_record
from practice.plan import Plan, check_name, load_plan
from practice.supervisor import record_of
from practice.system import CommandError, is_alive, wait_until
from tests.practice.plugin import practice

pytestmark = [pytest.mark.range, pytest.mark.timeout(900)]
NODES = ("qa-1", "qa-2", "qa-3")
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


@pytest.fixture
def plan(practice_range: RangeFacts) -> Plan:
    return load_plan(practice_range.name)


def status_of(address: str, path: str, *, host: str = "", port: int = 80) -> int:
    """Status of one GET on a fresh connection; 0 when there was no answer within 3 s."""
    link = http.client.HTTPConnection(address, port, timeout=3)
    try:
        link.request("GET", path, headers={"Host": host or address})
        return link.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        link.close()


def api_ready(facts: RangeFacts, address: str) -> bool:
    """Whether /readyz answers 200 there, on a fresh connection with the cluster's CA checked."""
    context = ssl.create_default_context(cafile=facts.ca_file)
    link = http.client.HTTPSConnection(address, 6443, timeout=3, context=context)
    try:
        link.request("GET", "/readyz")
        return link.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()


def test_three_nodes_run_a_control_plane_each(practice_range: RangeFacts) -> None:
    for node in practice_range.nodes:
        running = look.processes(practice_range.name, node.name)
        for component in CONTROL_PLANE:
            assert len(running.get(component, [])) == 1, (node.name, component, running)
        assert {f"{c}.yaml" for c in CONTROL_PLANE} <= set(
            look.manifests(practice_range.name, node.name)
        )
        assert api_ready(practice_range, node.address)
        assert "ip kube-proxy" in look.nft_tables(practice_range.name, node.name)
        assert look.stash_leftovers(practice_range.name, node.name) == []


def test_up_on_a_raised_range_says_so_at_once(practice_range: RangeFacts) -> None:
    began = time.monotonic()
    assert "is up" in practice("up", "--name", practice_range.name)
    assert time.monotonic() - began < 10


def test_the_shop_is_reached_through_the_edge_in_both_halves(plan: Plan) -> None:
    counts = json.loads((plan.dir / "trickle.json").read_text())
    before = counts["sent"]

    def both_served() -> bool:
        now = json.loads((plan.dir / "trickle.json").read_text())
        return bool(
            now["sent"] > before + 20
            and now.get("served_by_legacy")
            and now.get("served_by_kubernetes")
        )

    wait_until(both_served, timeout=60, what="trickle served by both halves", every=0.5)
    for host in ("shop.qa.local", "prices.qa.local", "vouchers.qa.local"):
        assert status_of(plan.gateway, "/", host=host) == 200


def test_a_new_tag_is_really_pulled_from_the_registry(plan: Plan) -> None:
    """A pod with Always is pulled at each start; the event names the registry's image."""
    pods = ["pods", "-n", "shop", "-l", "app=prices"]
    kubectl(plan, ["delete", *pods])
    kubectl(plan, ["wait", "--for=condition=Ready", *pods, "--timeout=60s"], timeout=90)
    names = kubectl(plan, ["get", *pods, "-o", "jsonpath={.items[*].metadata.name}"]).split()
    events = json.loads(kubectl(plan, ["get", "events", "-n", "shop", "-o", "json"]))["items"]
    said = [e["message"] for e in events
            if e["reason"] == "Pulled" and e["involvedObject"]["name"] in names]  # fmt: skip
    assert len(said) == 2
    assert all("Successfully pulled image" in s and "registry.belay.local/prices:1" in s
               for s in said)  # fmt: skip


def can(plan: Plan, *question: str) -> bool:
    """Ask the cluster whether Belay's account may do that."""
    account = "--as=system:serviceaccount:belay:belay"
    try:
        return kubectl(plan, ["auth", "can-i", account, *question]).strip() == "yes"
    except CommandError:  # kubectl ends with 1 for "no"
        return False


def test_belays_account_has_least_rights(plan: Plan) -> None:
    marker = ("configmaps/belay-qa-marker", "-n", "belay-marker")
    assert can(plan, "get", *marker)
    assert can(plan, "list", "pods", "-A")
    assert can(plan, "create", "configmaps", "-n", "belay")
    assert can(plan, "get", "/readyz")
    assert can(plan, "patch", "httpproxies.projectcontour.io", "-n", "shop"), "for migration steps"
    assert not can(plan, "patch", "httpproxies.projectcontour.io", "-n", "registry")
    assert not can(plan, "get", "secrets", "-n", "shop")
    for verb in ("update", "patch", "delete"):
        assert not can(plan, verb, *marker)
    for question in (("create", "pods", "-n", "belay"), ("get", "secrets", "-n", "belay"),
                     ("create", "configmaps", "-n", "belay-marker"), ("delete", "nodes"),
                     ("create", "pods/exec", "-n", "belay"),
                     ("patch", "deployments", "-n", "registry"),
                     ("create", "serviceaccounts/token", "-n", "belay")):  # fmt: skip
        assert not can(plan, *question), question


def test_the_accounts_kubeconfig_works_and_only_root_reads_it(plan: Plan) -> None:
    assert plan.kubeconfig.stat().st_mode & 0o077 == 0
    program = [str(plan.dir / "bin" / "kubectl"), f"--kubeconfig={plan.kubeconfig}"]
    done = subprocess.run(
        [*program, "get", "nodes", "-o", "name"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [f"node/{name}" for name in NODES]


def test_the_marker_carries_the_clusters_uid(plan: Plan) -> None:
    system = json.loads(kubectl(plan, ["get", "namespace", "kube-system", "-o", "json"]))
    marker = json.loads(
        kubectl(plan, ["get", "cm", "belay-qa-marker", "-n", "belay-marker", "-o", "json"])
    )
    assert marker["data"] == {"stage": "qa", "clusterUID": system["metadata"]["uid"]}


def test_the_guards_image_is_on_every_node(practice_range: RangeFacts, plan: Plan) -> None:
    assert practice_range.guard_image.startswith("belay.local/belay-guard:")
    items = json.loads(kubectl(plan, ["get", "nodes", "-o", "json"]))["items"]
    for node in items:
        names = [n for image in node["status"]["images"] for n in image.get("names", [])]
        assert "belay.local/etcd:3.6.8-0" in names
    for node in plan.nodes:
        record = node.root / "var/lib/containerd/.imported.json"
        assert [n for n in json.loads(record.read_text()) if n.startswith("guard-")]


def test_a_node_is_unplugged_and_comes_back_with_its_disk(practice_range: RangeFacts) -> None:
    name, node = practice_range.name, "qa-3"
    before, files = look.processes(name, node), look.manifests(name, node)
    others = look.processes(name, "qa-2")
    practice("restart-node", node, "--name", name)
    wait_until(
        lambda: api_ready(practice_range, practice_range.nodes[2].address),
        timeout=180, what="API server of the restarted node ready", every=0.5,
    )  # fmt: skip
    after = look.processes(name, node)
    assert look.manifests(name, node) == files
    for component in (*CONTROL_PLANE, "kubelet", "containerd"):
        assert after[component]
        assert not set(after[component]) & set(before[component]), component
    assert look.processes(name, "qa-2")["etcd"] == others["etcd"]


def test_the_proxys_fix_is_live_loses_nothing_and_can_be_taken_back(
    practice_range: RangeFacts, plan: Plan
) -> None:
    name = practice_range.name
    fix = ("fix", "api-proxy-health-check", "--name", name)
    failures = 0
    applied: list[bool] = []
    worker = subprocess.Popen(
        [sys.executable, "-m", "practice", *fix], stdout=subprocess.PIPE, text=True
    )
    with worker:
        while worker.poll() is None or len(applied) < 40:
            applied.append(api_ready(practice_range, plan.gateway))
        failures = applied.count(False)
        assert worker.returncode == 0
    try:
        assert RangeFacts.load(name).weaknesses["api-proxy-health-check"]
        assert failures == 0, f"{failures} of {len(applied)} requests failed while it was applied"
    finally:
        practice(*fix, "--undo")
    assert not RangeFacts.load(name).weaknesses["api-proxy-health-check"]


@pytest.mark.parametrize(
    ("fix", "field", "values"),
    [
        ("prices-pull-policy", "{.spec.template.spec.containers[0].imagePullPolicy}",
         ("IfNotPresent", "Always")),
        ("vouchers-replicas", "{.spec.replicas}", ("2", "1")),
    ],
)  # fmt: skip
def test_each_other_fix_does_what_it_says(
    plan: Plan, fix: str, field: str, values: tuple[str, str]
) -> None:
    get = ["get", "deployment", fix.partition("-")[0], "-n", "shop", "-o", f"jsonpath={field}"]
    practice("fix", fix, "--name", plan.name)
    fixed = kubectl(plan, get)
    practice("fix", fix, "--undo", "--name", plan.name)
    assert (fixed, kubectl(plan, get)) == values


def test_the_supervisor_may_be_killed_and_its_processes_go_on(plan: Plan) -> None:
    before = look.processes(plan.name, "qa-1")
    proxy = read_record(plan.dir / "run" / "proxy.json")
    pid, started = read_record(record_of(plan))
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid, started), timeout=5, what="supervisor gone")
    assert is_alive(*proxy)
    practice("up", "--name", plan.name)
    assert read_record(plan.dir / "run" / "proxy.json") == proxy
    assert look.processes(plan.name, "qa-1")["etcd"] == before["etcd"]


@pytest.fixture
def second(practice_range: RangeFacts) -> Iterator[str]:
    """The name of a range beside the first one; whatever the test leaves of it goes."""
    name = check_name(f"h{os.getpid() % 1000000}")
    yield name
    teardown.drop(name)


def machine_state(name: str) -> dict[str, list[str]]:
    """Everything of that range on this machine, looked for by name and not by its records."""
    mine = Path(f"/proc/{os.getpid()}/mounts").read_text()
    cgroups = Path("/sys/fs/cgroup").glob(f"**/belay-{name}-*")
    processes = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            text = (entry / "cgroup").read_text() + (entry / "cmdline").read_text()
        except OSError:
            continue
        if f"belay-{name}-" in text or f"/{name}/" in text:
            processes.append(text)
    return {
        "mounts": [
            line for line in mine.splitlines() if f"/{name}/" in line or f"-{name}-" in line
        ],
        "links": sorted(n for n in network.link_names() if n.startswith(f"bl-{name}")),
        "namespaces": sorted(n for n in network.network_namespaces() if f"-{name}-" in n),
        "cgroups": sorted(map(str, cgroups)),
        "processes": processes,
        "routes": [r for r in _routes() if f"bl-{name}" in r],
    }


def _routes() -> list[str]:
    shown = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True)
    return shown.stdout.splitlines()


def raise_until(name: str, reached: Callable[[str], bool]) -> None:
    """Begin to raise a range and SIGKILL its supervisor once it has come that far."""
    up = subprocess.Popen(
        [sys.executable, "-m", "practice", "up", "--name", name],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def far_enough() -> bool:
        progress = read_progress(name)
        return progress is not None and reached(progress.step)

    with up:
        wait_until(far_enough, timeout=300, what=f"range {name} that far", every=0.05)
        os.kill(read_record(record_of(load_plan(name)))[0], signal.SIGKILL)
        assert up.wait(30) == 1  # and whoever waited for it was told


def test_a_second_range_killed_in_mid_start_goes_without_a_trace(
    practice_range: RangeFacts, second: str
) -> None:
    first = load_plan(practice_range.name)
    before = look.processes(first.name, "qa-1")
    raise_until(second, lambda step: step == "make the first node a cluster")
    plan = load_plan(second)
    state = machine_state(second)
    assert plan.slot != first.slot
    assert len(state["namespaces"]) == 3
    assert len(state["links"]) == 4
    assert state["processes"]
    assert state["cgroups"]
    practice("down", "--name", second)
    assert machine_state(second) == {kind: [] for kind in state}
    assert not plan.dir.exists()
    assert look.processes(first.name, "qa-1")["etcd"] == before["etcd"]
    assert api_ready(practice_range, first.gateway)


def test_in_the_foreground_sigterm_takes_everything_down(second: str) -> None:
    up = subprocess.Popen(
        [sys.executable, "-m", "practice", "up", "--name", second, "--foreground"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert up.stdout is not None
    with up:
        for line in up.stdout:
            if "qa-1 is up" in line:
                break
        up.terminate()
        rest = up.stdout.read()
        assert up.wait(120) == 0, rest
    assert f"range {second} is gone" in rest
    assert not any(machine_state(second).values())
