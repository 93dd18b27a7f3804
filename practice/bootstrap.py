"""Making a cluster out of nodes: kubeadm's configuration, init, join and their repair."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import secrets
import ssl
import string
from pathlib import Path
from typing import Any

from practice import nodes, versions
from practice.cluster import kubectl
from practice.plan import API_PORT, Node, Plan
from practice.system import RangeError, run, write_atomic

Json = dict[str, object]
KUBEADM = "kubeadm.k8s.io/v1beta4"
DONE = "etc/kubernetes/.practice-joined"
"""Exists on a node's disk once kubeadm has finished there."""


def has_joined(node: Node) -> bool:
    return (node.root / DONE).exists()


def secrets_of(plan: Plan) -> dict[str, str]:
    """The range's own bootstrap token and certificate key, made once (file mode 0600)."""
    path = plan.dir / "secrets.json"
    if path.exists():
        return dict(json.loads(path.read_text()))
    letters = string.ascii_lowercase + string.digits
    parts = ["".join(secrets.choice(letters) for _ in range(n)) for n in (6, 16)]
    made = {"token": ".".join(parts), "certificate_key": secrets.token_hex(32)}
    write_atomic(path, json.dumps(made), mode=0o600)
    return made


def registration(plan: Plan, node: Node) -> Json:
    """How a node introduces itself. The cgroup root differs per node, so it is a flag."""
    own: Json = {
        "name": node.name,
        "criSocket": "unix:///run/containerd/containerd.sock",
        "imagePullPolicy": "Never",
        "ignorePreflightErrors": ["all"],
        "kubeletExtraArgs": [
            {"name": "node-ip", "value": node.address},
            {"name": "cgroup-root", "value": f"/{node.cgroup}"},
        ],
    }
    # Without the key kubeadm sets its usual taint on a control plane, and none on a worker.
    return own if plan.keeps_pods_off_control_planes else own | {"taints": []}


def init_config(plan: Plan, first: Node, keys: dict[str, str]) -> list[Json]:
    """The documents for `kubeadm init`, or one of its phases, on a node."""
    kubelet: Json = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        # The machine's disk is everybody's: its filling up is no reason to evict, and the
        # imported images could not be had again.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "nodefs.available": "0%",
            "imagefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "memory.available": "100Mi",
        },
    }
    if plan.crash_loop_max:
        kubelet["crashLoopBackOff"] = {"maxContainerRestartPeriod": plan.crash_loop_max}
    return [
        {
            "apiVersion": KUBEADM,
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": first.address, "bindPort": API_PORT},
            "bootstrapTokens": [
                {
                    "token": keys["token"],
                    "ttl": "2h0m0s",
                    "usages": ["signing", "authentication"],
                    "groups": ["system:bootstrappers:kubeadm:default-node-token"],
                }
            ],
            "certificateKey": keys["certificate_key"],
            "nodeRegistration": registration(plan, first),
        },
        {
            "apiVersion": KUBEADM,
            "kind": "ClusterConfiguration",
            "clusterName": f"belay-{plan.name}",
            "kubernetesVersion": versions.KUBERNETES,
            "imageRepository": versions.REPOSITORY,
            "controlPlaneEndpoint": f"{plan.gateway}:{API_PORT}",
            "networking": {"podSubnet": plan.pod_subnet, "serviceSubnet": plan.service_subnet},
            "dns": {"imageTag": versions.COREDNS},
            "etcd": {"local": {"imageTag": versions.ETCD_TAG}},
        },
        kubelet,
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "conntrack": {"maxPerCore": 0},  # a machine-wide setting that is not the range's
        },
    ]


def join_config(plan: Plan, node: Node, keys: dict[str, str], ca_hash: str) -> list[Json]:
    """The document for `kubeadm join` as a further control-plane node, or as a worker."""
    document: Json = {
        "apiVersion": KUBEADM,
        "kind": "JoinConfiguration",
        "discovery": {
            "bootstrapToken": {
                "token": keys["token"],
                "apiServerEndpoint": f"{plan.gateway}:{API_PORT}",
                "caCertHashes": [ca_hash],
            }
        },
        "nodeRegistration": registration(plan, node),
    }
    if node.is_control_plane:
        document["controlPlane"] = {
            "certificateKey": keys["certificate_key"],
            "localAPIEndpoint": {"advertiseAddress": node.address, "bindPort": API_PORT},
        }
    return [document]


def init_cluster(plan: Plan) -> None:
    """Make the first node a cluster of one."""
    first = plan.nodes[0]
    _kubeadm(plan, first, ["init", "--upload-certs"], init_config(plan, first, secrets_of(plan)))
    (first.root / DONE).touch()


def write_owner_files(plan: Plan, via: Node) -> None:
    """Copy the owner's kubeconfig and the CA's certificate from a node of the cluster."""
    admin = (via.root / "etc/kubernetes/admin.conf").read_text()
    write_atomic(plan.admin_kubeconfig, admin, mode=0o600)
    write_atomic(plan.ca_file, (via.root / "etc/kubernetes/pki/ca.crt").read_text())


def renew_invitation(plan: Plan, via: Node) -> None:
    """Renew the token and the uploaded certificates: both expire two hours after init."""
    keys = secrets_of(plan)
    config = _write_config(via, "upload.yaml", init_config(plan, via, keys))
    upload = ["kubeadm", "init", "phase", "upload-certs", "--upload-certs", f"--config={config}"]
    nodes.run_inside(via, upload)
    admin = "--kubeconfig=/etc/kubernetes/admin.conf"
    if keys["token"] not in nodes.run_inside(via, ["kubeadm", "token", "list", admin]):
        nodes.run_inside(via, ["kubeadm", "token", "create", keys["token"], admin])


def join_node(plan: Plan, node: Node) -> None:
    """Join a node to the cluster. Its disk must be fresh."""
    config = join_config(plan, node, secrets_of(plan), ca_hash(plan.ca_file))
    _kubeadm(plan, node, ["join"], config)
    (node.root / DONE).touch()


def has_tried(node: Node) -> bool:
    """Whether kubeadm has begun on this node's disk, whatever came of it."""
    return (node.root / "etc/kubernetes/.kubeadm.yaml").exists()


def ca_hash(certificate: Path) -> str:
    """kubeadm's pin of the cluster's CA: SHA-256 over its public key in DER form."""
    key = run(["openssl", "x509", "-pubkey", "-noout", "-in", str(certificate)])
    body = "".join(line for line in key.splitlines() if not line.startswith("-----"))
    return "sha256:" + hashlib.sha256(base64.b64decode(body)).hexdigest()


def _write_config(node: Node, name: str, documents: list[Json]) -> str:
    text = "\n---\n".join(json.dumps(document, indent=1) for document in documents)
    write_atomic(node.root / "etc/kubernetes" / f".{name}", text, mode=0o600)
    return f"/etc/kubernetes/.{name}"


def _kubeadm(plan: Plan, node: Node, verb: list[str], documents: list[Json]) -> None:
    config = _write_config(node, "kubeadm.yaml", documents)
    log = plan.logs / f"kubeadm-{node.name}.log"
    nodes.run_inside(node, ["kubeadm", *verb, f"--config={config}"], timeout=420, log=log)


def etcd_members(via: Node) -> list[dict[str, Any]]:
    """Members of the cluster's etcd, as one member sees them."""
    return list(_etcd(via, "list", {}).get("members", []))


def forget_node(plan: Plan, node: Node, via: Node) -> None:
    """Remove a node that must be made again from the cluster: its etcd member and its object.

    A member whose disk is lost may not come back under its old identity: it would have
    forgotten what it acknowledged.
    """
    for member in etcd_members(via):
        if f"https://{node.address}:2380" in member.get("peerURLs", []):
            _etcd(via, "remove", {"ID": member["ID"]})
    kubectl(plan, ["delete", "node", node.name, "--ignore-not-found", "--wait=false"])


def _etcd(via: Node, verb: str, body: Json) -> dict[str, Any]:
    pki = via.root / "etc/kubernetes/pki"
    context = ssl.create_default_context(cafile=str(pki / "etcd/ca.crt"))
    context.load_cert_chain(pki / "apiserver-etcd-client.crt", pki / "apiserver-etcd-client.key")
    link = http.client.HTTPSConnection(via.address, 2379, timeout=15, context=context)
    try:
        link.request("POST", f"/v3/cluster/member/{verb}", json.dumps(body))
        answer = link.getresponse()
        text = answer.read().decode()
    except OSError as error:
        raise RangeError(f"etcd of {via.name} does not answer: {error}") from error
    finally:
        link.close()
    if answer.status != 200:
        raise RangeError(f"etcd of {via.name} refused member {verb}: {text.strip()}")
    return dict(json.loads(text))
