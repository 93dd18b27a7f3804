"""Exactly what one run may do: on which objects, by name, and with which verbs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from gamedays.scenarios.plan import ObjectTarget

Object = dict[str, Any]
RBAC = "rbac.authorization.k8s.io"
_RULES: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "deployment": (("apps", "deployments", ("get", "patch")),),
    "config-map": (("", "configmaps", ("get", "patch")),),
    "http-proxy": (("projectcontour.io", "httpproxies", ("get", "patch")),),
    "node": (("", "nodes", ("get", "patch")),),
    "evict": (("", "pods", ("get",)), ("", "pods/eviction", ("create",))),
    "delete-pod": (("", "pods", ("get", "delete")),),
}
_PATHS = {
    "deployment": "/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
    "config-map": "/api/v1/namespaces/{namespace}/configmaps/{name}",
    "http-proxy": "/apis/projectcontour.io/v1/namespaces/{namespace}/httpproxies/{name}",
    "node": "/api/v1/nodes/{name}",
    "pod": "/api/v1/namespaces/{namespace}/pods/{name}",
}


def path_of(target: ObjectTarget) -> str:
    """Where a target is in the API."""
    return _PATHS[target.kind].format(
        namespace=quote(target.namespace, safe=""), name=quote(target.name, safe="")
    )


def rules_for(targets: Iterable[ObjectTarget]) -> dict[str, list[Object]]:
    """Namespace ("" is the cluster) → the rules of the role there; every one names its objects."""
    wanted: dict[str, dict[tuple[str, str, tuple[str, ...]], set[str]]] = {}
    for target in targets:
        kind = target.change if target.kind == "pod" else target.kind
        for right in _RULES[kind]:
            wanted.setdefault(target.namespace, {}).setdefault(right, set()).add(target.name)
    return {
        namespace: [
            {
                "apiGroups": [group],
                "resources": [resource],
                "verbs": list(verbs),
                "resourceNames": sorted(names),
            }
            for (group, resource, verbs), names in sorted(rights.items())
        ]
        for namespace, rights in sorted(wanted.items())
    }


def rights_to_make(targets: Iterable[ObjectTarget]) -> list[tuple[str, str, str, str]]:
    """Verb, group, resource and namespace of every right that it takes to make such roles."""
    wanted = []
    for scope in rules_for(targets):
        roles = "roles" if scope else "clusterroles"
        bindings = "rolebindings" if scope else "clusterrolebindings"
        wanted += [(verb, RBAC, roles, scope) for verb in ("create", "escalate", "bind")]
        wanted.append(("create", RBAC, bindings, scope))
    return wanted
