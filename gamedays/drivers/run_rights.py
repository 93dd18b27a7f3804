"""Exactly what one run may do: on which objects, by name, and with which verbs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import quote

from core.errors import ClusterRefused
from gamedays.scenarios.plan import ObjectTarget

Object = dict[str, Any]
RBAC = "rbac.authorization.k8s.io"
_RULES: dict[str, tuple[tuple[str, str, tuple[str, ...]], ...]] = {
    "deployment": (("apps", "deployments", ("get", "patch")),),
    "config-map": (("", "configmaps", ("get", "patch")),),
    "http-proxy": (("projectcontour.io", "httpproxies", ("get", "patch")),),
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


class Right(NamedTuple):
    """One thing that somebody may or may not do."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str = ""

    def __str__(self) -> str:
        thing = f"{self.resource} {self.name}".strip()
        return f"{self.verb} {thing} in {self.namespace or 'the whole cluster'}"


def path_of(target: ObjectTarget) -> str:
    """Where a target is in the API."""
    return _PATHS[target.kind].format(
        namespace=quote(target.namespace, safe=""), name=quote(target.name, safe="")
    )


def rules_for(targets: Iterable[ObjectTarget]) -> dict[str, list[Object]]:
    """Namespace → the rules of the run's role there; every one names its objects. Nodes are in no
    namespace: for each the cluster's owner keeps a role that Belay can only lend."""
    wanted: dict[str, dict[tuple[str, str, tuple[str, ...]], set[str]]] = {}
    for target in targets:
        if target.kind == "node":
            continue
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


def node_of(targets: Iterable[ObjectTarget]) -> str:
    """The one node among the targets, or empty."""
    nodes = sorted({target.name for target in targets if target.kind == "node"})
    if len(nodes) > 1:
        raise ClusterRefused(
            f"One run closes one node at a time, not {', '.join(nodes)}.", code="too_many_targets"
        )
    return nodes[0] if nodes else ""


def cordon_role(node: str) -> str:
    """The owner's ClusterRole that may close and open that node, and do nothing else."""
    return f"belay-cordon-{node}"


def rights_to_make(targets: Iterable[ObjectTarget]) -> list[Right]:
    """Every right that it takes to give a run its account, beside the account itself."""
    chosen = tuple(targets)
    wanted = []
    for scope in rules_for(chosen):
        wanted += [Right(verb, RBAC, "roles", scope) for verb in ("create", "escalate", "bind")]
        wanted.append(Right("create", RBAC, "rolebindings", scope))
    node = node_of(chosen)
    if node:
        wanted.append(Right("create", RBAC, "clusterrolebindings", ""))
        wanted.append(Right("bind", RBAC, "clusterroles", "", cordon_role(node)))
    return wanted
