"""What an owner grants, in namespaces that they opt in, so that migration steps can be made and
undone there. Nothing of it is given unless it is asked for, namespace by namespace.

Unlike a fault, a step is made by Belay's own account: it is meant to stay, and people look at its
diff before. Two grants, so that whoever only shifts traffic gives away nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.onboarding.objects import ACCOUNT, NAMESPACE, Object

RBAC = "rbac.authorization.k8s.io"
TRAFFIC, APPLY = "belay-traffic", "belay-steps"
_CHANGE = ["get", "list", "create", "patch", "delete"]


def step_objects(*, traffic_in: Sequence[str], migrates_in: Sequence[str]) -> list[Object]:
    """Roles and bindings. `traffic_in` lets weights be shifted; `migrates_in` lets workloads be
    made, changed, scaled and removed again, too."""
    made: list[Object] = []
    for namespace in dict.fromkeys([*traffic_in, *migrates_in]):
        made += _bound(TRAFFIC, namespace, traffic_rules())
    for namespace in dict.fromkeys(migrates_in):
        made += _bound(APPLY, namespace, apply_rules())
    return made


def traffic_rules() -> list[Object]:
    """Shifting weights: reading and patching HTTPProxies."""
    return [_rule("projectcontour.io", ["httpproxies"], ["get", "patch"])]


def apply_rules() -> list[Object]:
    """The kinds that a step may make and change (`migrator/runners/objects.py`). No Secret, no
    account, no role, no pod."""
    return [
        _rule("apps", ["deployments", "statefulsets"], _CHANGE),
        _rule("", ["services", "configmaps"], _CHANGE),
        _rule("projectcontour.io", ["httpproxies"], _CHANGE),
        _rule("autoscaling", ["horizontalpodautoscalers"], _CHANGE),
        _rule("policy", ["poddisruptionbudgets"], _CHANGE),
    ]


def _bound(name: str, namespace: str, rules: list[Object]) -> list[Object]:
    meta = {"name": name, "namespace": namespace}
    return [
        {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": meta, "rules": rules},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        },
    ]


def _rule(group: str, resources: list[str], verbs: list[str]) -> Object:
    return {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}
