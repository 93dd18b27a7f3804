"""What the range's owner grants for migration steps: in the shop's namespace, and nowhere else."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
ACCOUNT = {"kind": "ServiceAccount", "name": "belay", "namespace": "belay"}
MIGRATES_IN = ("shop",)
"""Namespaces of the range in which steps may shift traffic and change workloads."""
RBAC = "rbac.authorization.k8s.io"
_CHANGE = ["get", "list", "create", "patch", "delete"]


def objects() -> list[Object]:
    """A role for shifting traffic and one for applying, each bound to Belay's account."""
    return [
        *(item for namespace in MIGRATES_IN for item in _bound("belay-traffic", namespace, [
            _rule("projectcontour.io", ["httpproxies"], ["get", "patch"]),
        ])),
        *(item for namespace in MIGRATES_IN for item in _bound("belay-steps", namespace, [
            _rule("apps", ["deployments", "statefulsets"], _CHANGE),
            _rule("", ["services", "configmaps"], _CHANGE),
            _rule("projectcontour.io", ["httpproxies"], _CHANGE),
            _rule("autoscaling", ["horizontalpodautoscalers"], _CHANGE),
            _rule("policy", ["poddisruptionbudgets"], _CHANGE),
        ])),
    ]  # fmt: skip


def _bound(name: str, namespace: str, rules: list[Object]) -> list[Object]:
    meta = {"name": name, "namespace": namespace}
    reference = {"apiGroup": RBAC, "kind": "Role", "name": name}
    return [
        {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": meta, "rules": rules},
        {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "metadata": meta,
         "roleRef": reference, "subjects": [ACCOUNT]},
    ]  # fmt: skip


def _rule(group: str, resources: list[str], verbs: list[str]) -> Object:
    return {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}
