"""The owner's objects, as data: the marker, Belay's account, and exactly the rights that it needs.

Nothing here can read a Secret, make a pod, or write the marker. The rights of one run's fault on
API objects are not here: they are minted for that run, in namespaces that the owner opted in.
"""

from __future__ import annotations

from typing import Any

from core.qa_marker import MARKER_NAME, MARKER_NAMESPACE

Object = dict[str, Any]
ACCOUNT = "belay"
NAMESPACE = "belay"
_RBAC = "rbac.authorization.k8s.io"
_LOOK = ["get", "list", "watch"]


def owners_objects(cluster_uid: str) -> list[Object]:
    """In the order in which they are made; making them again changes nothing."""
    return [
        _namespace(NAMESPACE),
        _namespace(MARKER_NAMESPACE),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": MARKER_NAME, "namespace": MARKER_NAMESPACE},
            "data": {"stage": "qa", "clusterUID": cluster_uid},
        },
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT, "namespace": NAMESPACE},
        },
        *_granted("ClusterRole", "belay-look", None, look_rules()),
        *_granted("Role", "belay-marker", MARKER_NAMESPACE, marker_rules()),
        *_granted("Role", "belay-canary", NAMESPACE, canary_rules()),
    ]


def look_rules() -> list[Object]:
    """Reading, cluster-wide, of what a gameday watches. No Secret, and nothing is written."""
    health = [f"/{path}{rest}" for path in ("readyz", "livez", "healthz") for rest in ("", "/*")]
    return [
        _rule([""], ["pods", "nodes", "namespaces", "services", "events"], _LOOK),
        _rule(["events.k8s.io"], ["events"], _LOOK),
        _rule(["discovery.k8s.io"], ["endpointslices"], _LOOK),
        _rule(["apps"], ["deployments", "statefulsets", "daemonsets", "replicasets"], _LOOK),
        _rule(["projectcontour.io"], ["httpproxies"], _LOOK),
        _rule(["authorization.k8s.io"], ["selfsubjectaccessreviews"], ["create"]),
        {"nonResourceURLs": [*health, "/version"], "verbs": ["get"]},
    ]


def marker_rules() -> list[Object]:
    """Reading the one marker; whoever may write it could call production a QA cluster."""
    return [_rule([""], ["configmaps"], ["get"]) | {"resourceNames": [MARKER_NAME]}]


def canary_rules() -> list[Object]:
    """Writing canaries. Rights cannot be limited to a prefix, so they have a namespace alone."""
    return [_rule([""], ["configmaps"], ["create", "get", "update", "patch"])]


def in_words(objects: list[Object]) -> list[str]:
    """One line for each thing that is made, and one for each right that is given."""
    lines = []
    for item in objects:
        kind, meta = item["kind"], item["metadata"]
        if kind.endswith("Binding"):
            continue
        where = f" in namespace {meta['namespace']}" if "namespace" in meta else ""
        lines.append(f"{kind} {meta['name']}{where}")
        lines += [f"    may {_right(rule)}" for rule in item.get("rules", [])]
        checks = item.get("spec", {}).get("validations", [])
        lines += [f"    only where {check['message']}" for check in checks]
    return lines


def taking_back(objects: list[Object]) -> list[str]:
    """The kubectl commands that remove all of it again: rights first, what narrows them last."""
    ours = {item["metadata"]["name"] for item in objects if item["kind"] == "Namespace"}
    elsewhere: dict[str, list[str]] = {}
    namespaces, wide = [], []
    for item in reversed(objects):
        meta = item["metadata"]
        named = f"{item['kind'].lower()}/{meta['name']}"
        if item["kind"] == "Namespace":
            namespaces.append(named)
        elif "namespace" not in meta:
            wide.append(named)
        elif meta["namespace"] not in ours:
            elsewhere.setdefault(meta["namespace"], []).append(named)
    delete = "kubectl delete --ignore-not-found"
    return [
        *(f"{delete} -n {namespace} {' '.join(them)}" for namespace, them in elsewhere.items()),
        f"{delete} {' '.join(namespaces)}",
        f"{delete} {' '.join(wide)}",
    ]


def _right(rule: Object) -> str:
    verbs = ", ".join(rule["verbs"])
    if "nonResourceURLs" in rule:
        return f"{verbs} {', '.join(rule['nonResourceURLs'])}"
    named = f" named {', '.join(rule['resourceNames'])}" if "resourceNames" in rule else ""
    return f"{verbs} {', '.join(rule['resources'])}{named}"


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _rule(groups: list[str], resources: list[str], verbs: list[str]) -> Object:
    return {"apiGroups": groups, "resources": resources, "verbs": list(verbs)}


def _granted(kind: str, name: str, namespace: str | None, rules: list[Object]) -> list[Object]:
    meta: Object = {"name": name} | ({"namespace": namespace} if namespace else {})
    return [
        {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": meta, "rules": rules},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": f"{kind}Binding",
            "metadata": meta,
            "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        },
    ]
