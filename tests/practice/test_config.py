"""What the range writes for kubeadm, Envoy and the cluster."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from practice import bootstrap, owner, proxy, versions, workloads
from practice.components import Built
from practice.plan import Plan

PLAN = Plan("x", 0)
KEYS = {"token": "abcdef.0123456789abcdef", "certificate_key": "0" * 64}


def kubelet_config(plan: Plan) -> dict[str, Any]:
    documents = bootstrap.init_config(plan, plan.nodes[0], KEYS)
    [found] = [d for d in documents if d["kind"] == "KubeletConfiguration"]
    return found


def test_the_kubelet_keeps_its_own_back_off_unless_asked() -> None:
    assert "crashLoopBackOff" not in kubelet_config(PLAN)
    asked = kubelet_config(Plan("x", 0, crash_loop_max="10s"))
    assert asked["crashLoopBackOff"] == {"maxContainerRestartPeriod": "10s"}


def test_every_node_introduces_itself_with_its_own_address_and_cgroup() -> None:
    flags = [bootstrap.registration(PLAN, node)["kubeletExtraArgs"] for node in PLAN.nodes]
    values = [{flag["name"]: flag["value"] for flag in node} for node in flags]  # type: ignore[attr-defined]
    assert values[1] == {"node-ip": "10.89.0.12", "cgroup-root": "/belay-x-qa-2"}
    assert len({v["cgroup-root"] for v in values}) == 3


MIXED = Plan("x", 0, control_planes=1, workers=2)


def test_a_worker_joins_without_a_control_plane_of_its_own() -> None:
    first, *workers = MIXED.nodes
    assert [node.is_control_plane for node in (first, *workers)] == [True, False, False]
    for node in workers:
        [document] = bootstrap.join_config(MIXED, node, KEYS, "sha256:0")
        assert "controlPlane" not in document
        assert document["nodeRegistration"]["name"] == node.name  # type: ignore[index]
    third = PLAN.nodes[2]
    [document] = bootstrap.join_config(PLAN, third, KEYS, "sha256:0")
    assert document["controlPlane"]["localAPIEndpoint"]["advertiseAddress"] == third.address  # type: ignore[index]


def test_a_control_plane_takes_ordinary_pods_only_where_workers_cannot_hold_them_all() -> None:
    """Without the key kubeadm sets its usual taint; two Contour replicas need two nodes."""
    for plan, taints in ((PLAN, []), (Plan("x", 0, "", 1, 1), []), (MIXED, None)):
        assert bootstrap.registration(plan, plan.nodes[0]).get("taints") == taints


def test_only_api_servers_stand_behind_the_api_proxy_and_every_node_behind_the_edge() -> None:
    def addresses(cluster: dict[str, Any]) -> list[str]:
        [group] = cluster["load_assignment"]["endpoints"]
        return [
            e["endpoint"]["address"]["socket_address"]["address"] for e in group["lb_endpoints"]
        ]

    assert addresses(proxy.api_cluster(MIXED, check_readyz=True)) == ["10.89.0.11"]
    assert len(addresses(proxy.edge_cluster(MIXED))) == 3


def test_the_registrys_content_lies_on_the_last_node() -> None:
    for plan, name in ((PLAN, "qa-3"), (MIXED, "qa-w2")):
        [pod] = [o for o in workloads.registry(plan) if o["kind"] == "Deployment"]
        selector = pod["spec"]["template"]["spec"]["nodeSelector"]
        assert selector == {"kubernetes.io/hostname": name}


def test_nothing_is_pulled_from_outside() -> None:
    documents = bootstrap.init_config(PLAN, PLAN.nodes[0], KEYS)
    [cluster] = [d for d in documents if d["kind"] == "ClusterConfiguration"]
    assert cluster["imageRepository"] == versions.REPOSITORY
    assert all(bootstrap.registration(PLAN, n)["imagePullPolicy"] == "Never" for n in PLAN.nodes)


def test_a_range_has_secrets_of_its_own_that_only_root_reads(own_dirs: Path) -> None:
    one, two = bootstrap.secrets_of(Plan("one", 0)), bootstrap.secrets_of(Plan("two", 1))
    assert one != two
    assert bootstrap.secrets_of(Plan("one", 0)) == one
    assert (Plan("one", 0).dir / "secrets.json").stat().st_mode & 0o077 == 0


def test_the_pin_of_the_ca_is_what_kubeadm_computes(tmp_path: Path) -> None:
    # From RFC 7468, section 5.1, and `openssl x509 -pubkey | openssl pkey -outform DER | sha256`.
    certificate, key = tmp_path / "ca.crt", tmp_path / "ca.key"
    make = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=ca"]
    subprocess.run(
        [*make, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    der = ["openssl", "pkey", "-in", str(key), "-pubout", "-outform", "DER"]
    expected = hashlib.sha256(subprocess.run(der, check=True, capture_output=True).stdout)
    assert bootstrap.ca_hash(certificate) == f"sha256:{expected.hexdigest()}"


def test_the_proxy_is_weak_until_it_is_fixed(own_dirs: Path) -> None:
    assert not proxy.checks_readyz(PLAN)
    proxy.write_config(PLAN, check_readyz=False)
    assert not proxy.checks_readyz(PLAN)
    proxy.write_clusters(PLAN, check_readyz=True)
    assert proxy.checks_readyz(PLAN)
    proxy.write_clusters(PLAN, check_readyz=False)
    assert not proxy.checks_readyz(PLAN)


def test_the_fix_speaks_tls_to_the_health_check_alone() -> None:
    cluster = proxy.api_cluster(PLAN, check_readyz=True)
    [check] = cluster["health_checks"]
    assert check["http_health_check"]["path"] == "/readyz"
    sockets = {match["name"]: match for match in cluster["transport_socket_matches"]}
    assert sockets["health-check"]["match"] == check["transport_socket_match_criteria"]
    assert sockets["clients"]["match"] == {}
    assert "raw_buffer" in sockets["clients"]["transport_socket"]["name"]
    assert cluster["close_connections_on_host_health_failure"]


def test_the_account_reads_what_a_gameday_watches_and_no_secret() -> None:
    rules = owner.look_rules()
    resources = {r for rule in rules for r in rule.get("resources", [])}
    assert not resources & {"secrets", "configmaps", "*"}
    writes = {v for rule in rules for v in rule["verbs"]} - {"get", "list", "watch"}
    assert writes == {"create"}  # of selfsubjectaccessreviews
    [create] = [rule for rule in rules if "create" in rule["verbs"]]
    assert create["resources"] == ["selfsubjectaccessreviews"]


def test_the_marker_can_be_read_and_not_written() -> None:
    [rule] = owner.marker_rules()
    assert rule["verbs"] == ["get"]
    assert rule["resourceNames"] == [owner.MARKER]


@pytest.fixture
def example(tmp_path: Path) -> Built:
    """A Built whose Contour manifests are as small as they can be."""

    def pods(*images: str) -> dict[str, Any]:
        containers = [
            {
                "name": "c",
                "image": image,
                "imagePullPolicy": "Always",
                "ports": [{"containerPort": 8080, "hostPort": 80}],
            }
            for image in images
        ]
        return {"selector": {"matchLabels": {"app": "contour"}},
                "template": {"spec": {"containers": containers}}}  # fmt: skip

    theirs, envoys = "ghcr.io/projectcontour/contour:v1", "docker.io/envoyproxy/envoy:v1"
    objects = [
        {"kind": "DaemonSet", "metadata": {"name": "envoy"}, "spec": pods(theirs, envoys)},
        {"kind": "Deployment", "metadata": {"name": "contour"}, "spec": pods(theirs)},
        {"kind": "Namespace", "metadata": {"name": "projectcontour"}},
        {"kind": "Service", "metadata": {"name": "envoy"},
         "spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}},
    ]  # fmt: skip
    file = tmp_path / "manifests.json"
    file.write_text(json.dumps(objects))
    return Built({}, file, tmp_path)


def test_contour_runs_from_our_images_on_the_nodes_network(example: Built) -> None:
    objects = workloads.contour(example)
    assert objects[0]["kind"] == "Namespace"
    text = json.dumps(objects)
    assert "ghcr.io" not in text
    assert "docker.io" not in text
    assert "Always" not in text
    [envoy] = [o for o in objects if o["kind"] == "DaemonSet"]
    assert envoy["spec"]["template"]["spec"]["hostNetwork"]
    assert "hostPort" not in json.dumps(envoy)
    [contour] = [o for o in objects if o["kind"] == "Deployment"]
    assert contour["spec"]["template"]["spec"]["affinity"] == workloads.apart({"app": "contour"})
    for item in (envoy, contour):
        assert workloads.STAYS in item["spec"]["template"]["spec"]["tolerations"]


def test_the_shop_has_two_halves_behind_one_route() -> None:
    [route] = [o for o in workloads.shop(PLAN) if o["kind"] == "HTTPProxy"]
    [only] = route["spec"]["routes"]
    assert {s["name"]: s["weight"] for s in only["services"]} == {"shop-legacy": 90, "shop": 10}
    [legacy] = [o for o in workloads.shop(PLAN) if o["kind"] == "EndpointSlice"]
    assert legacy["endpoints"][0]["addresses"] == [PLAN.gateway]
