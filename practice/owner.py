"""What the owner of a QA cluster does for Belay: a marker, and an account with least rights."""

from __future__ import annotations

import base64
import json
from typing import Any

from practice import owner_runs, owner_steps, route_canary
from practice.cluster import apply, get, kubectl
from practice.plan import Plan
from practice.system import write_atomic

Object = dict[str, Any]
TOKEN_DAYS = 365
NAMESPACE = "belay"
MARKER_NAMESPACE = "belay-marker"
MARKER = "belay-qa-marker"
RBAC = "rbac.authorization.k8s.io"


def introduce(plan: Plan) -> None:
    """Apply the owner's objects and write `belay.kubeconfig`, the account's plain-token file."""
    uid = get(plan, "namespace", "kube-system")["metadata"]["uid"]
    apply(plan, everything(uid, [node.name for node in plan.nodes]))
    if plan.kubeconfig.exists():
        return
    token = kubectl(
        plan, ["create", "token", "belay", "-n", NAMESPACE, f"--duration={TOKEN_DAYS * 24}h"]
    ).strip()
    write_atomic(plan.kubeconfig, json.dumps(kubeconfig(plan, token), indent=1), mode=0o600)


def everything(cluster_uid: str, nodes: list[str]) -> list[Object]:
    """All that the owner makes for Belay, in its order: what narrows a right comes before it."""
    return [
        *objects(cluster_uid),
        *owner_runs.objects(nodes),
        *owner_steps.objects(),
        *route_canary.objects(NAMESPACE, f"system:serviceaccount:{NAMESPACE}:belay"),
        *_granted("Role", "belay-route-canary", NAMESPACE, route_canary.rules()),
    ]


def objects(cluster_uid: str) -> list[Object]:
    """The namespaces, the marker, the account and its rights."""
    marker_data = {"stage": "qa", "clusterUID": cluster_uid}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MARKER_NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": MARKER, "namespace": MARKER_NAMESPACE},
            "data": marker_data,
        },
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "belay", "namespace": NAMESPACE},
        },
        *_granted("ClusterRole", "belay-look", None, look_rules()),
        *_granted("Role", "belay-marker", MARKER_NAMESPACE, marker_rules()),
        *_granted("Role", "belay-canary", NAMESPACE, canary_rules()),
    ]


def look_rules() -> list[Object]:
    """Reading, cluster-wide, of what a gameday watches. No Secret, and nothing is written."""
    verbs = ["get", "list", "watch"]
    return [
        _rule(
            [""], ["pods", "nodes", "namespaces", "services", "events"], verbs
        ),
        _rule(["events.k8s.io"], ["events"], verbs),
        _rule(["discovery.k8s.io"], ["endpointslices"], verbs),
        _rule(["apps"], ["deployments", "statefulsets", "daemonsets", "replicasets"], verbs),
        _rule(["projectcontour.io"], ["httpproxies"], verbs),
        _rule(["authorization.k8s.io"], ["selfsubjectaccessreviews"], ["create"]),
        {
            "nonResourceURLs": [
                f"/{path}{rest}" for path in ("readyz", "livez", "healthz") for rest in ("", "/*")
            ]
            + ["/version"],
            "verbs": ["get"],
        },
    ]  # fmt: skip


def marker_rules() -> list[Object]:
    """Reading the one marker; whoever may write it could call production a QA cluster."""
    return [_rule([""], ["configmaps"], ["get"], names=[MARKER])]


def canary_rules() -> list[Object]:
    """Writing canaries. Rights cannot be limited to a prefix, so they have a namespace alone."""
    return [_rule([""], ["configmaps"], ["create", "get", "update", "patch"])]


def kubeconfig(plan: Plan, token: str) -> Object:
    """A kubeconfig with a plain token, through the range's API proxy."""
    authority = base64.b64encode(plan.ca_file.read_bytes()).decode()
    cluster = {"server": plan.api_endpoint, "certificate-authority-data": authority}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": plan.name, "cluster": cluster}],
        "users": [{"name": "belay", "user": {"token": token}}],
        "contexts": [
            {"name": plan.name, "context": {"cluster": plan.name, "user": "belay",
                                            "namespace": NAMESPACE}}
        ],
        "current-context": plan.name,
    }  # fmt: skip


def _rule(groups: list[str], resources: list[str], verbs: list[str],
          names: list[str] | None = None) -> Object:  # fmt: skip
    rule: Object = {"apiGroups": groups, "resources": resources, "verbs": verbs}
    return rule | {"resourceNames": names} if names else rule


def _granted(kind: str, name: str, namespace: str | None, rules: list[Object]) -> list[Object]:
    meta: Object = {"name": name} | ({"namespace": namespace} if namespace else {})
    subject = {"kind": "ServiceAccount", "name": "belay", "namespace": NAMESPACE}
    reference = {"apiGroup": RBAC, "kind": kind, "name": name}
    return [
        {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": meta, "rules": rules},
        {"apiVersion": f"{RBAC}/v1", "kind": f"{kind}Binding", "metadata": meta,
         "roleRef": reference, "subjects": [subject]},
    ]  # fmt: skip
