"""What an owner grants, in namespaces that they opt in, so that faults on API objects can be made
and undone: for each run an account and a role of its own, by name, held narrow by policies.

Belay's account may change no object of anybody. Kubernetes 1.30 is needed: without admission
policies nothing would keep the roles of runs narrow, and then they are not granted.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.onboarding.objects import ACCOUNT as ACCOUNT_NAME
from core.onboarding.objects import NAMESPACE, Object

RUNS = "belay-runs"
"""Holds the accounts of runs and nothing else."""
ACCOUNT = {"kind": "ServiceAccount", "name": ACCOUNT_NAME, "namespace": NAMESPACE}
RBAC = "rbac.authorization.k8s.io"
LEAST_MINOR = 30
"""Of Kubernetes 1: since then a ValidatingAdmissionPolicy is there for everybody."""
ALLOWED = (
    "apps/deployments:get",
    "apps/deployments:patch",
    "/configmaps:get",
    "/configmaps:patch",
    "projectcontour.io/httpproxies:get",
    "projectcontour.io/httpproxies:patch",
    "/pods:get",
    "/pods:delete",
    "/pods/eviction:create",
)
"""Group/resource:verb of all that a run's role may hold, always on named objects."""
_OURS = "startsWith('belay-run-')"


def run_objects(*, namespaces: Sequence[str], nodes: Sequence[str]) -> list[Object]:
    """The policies first: they must stand before the rights that they narrow.

    `namespaces` hold objects that may be targets; `nodes` may be drained. Nothing at all is
    granted where nothing was opted in.
    """
    if not namespaces and not nodes:
        return []
    made = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RUNS}},
        *_policy("belay-run-roles", "roles", _role_rules()),
        *_policy("belay-run-rolebindings", "rolebindings", [_named("Role", _same_name())]),
        *_policy(
            "belay-run-clusterrolebindings",
            "clusterrolebindings",
            [_named("ClusterRole", "object.roleRef.name.startsWith('belay-cordon-')")],
        ),
        *_bound("Role", "belay-run-accounts", RUNS, account_rules()),
    ]
    for namespace in namespaces:
        made += _bound("Role", "belay-run-roles", namespace, opt_in_rules())
    if nodes:
        # Without a node there must be no rule either: no names would mean every name.
        made += [item for node in nodes for item in _cordon(node)]
        made += _bound("ClusterRole", "belay-run-nodes", "", node_rules(nodes))
    return made


def account_rules() -> list[Object]:
    """Accounts of runs and their tokens, in a namespace that holds nothing else."""
    return [
        _rule("", ["serviceaccounts"], ["create", "get", "list", "delete"]),
        _rule("", ["serviceaccounts/token"], ["create"]),
    ]


def opt_in_rules() -> list[Object]:
    """Making and removing the roles of runs; and reading ConfigMaps, which can be targets.

    `escalate` and `bind` are what it takes to give away rights that one has not. The policies
    say how narrow they must be.
    """
    return [
        _rule(RBAC, ["roles"], ["create", "get", "delete", "escalate", "bind"]),
        _rule(RBAC, ["rolebindings"], ["create", "get", "delete"]),
        _rule("", ["configmaps"], ["get"]),
    ]


def node_rules(nodes: Sequence[str]) -> list[Object]:
    """Lending the right to close one node; the roles themselves are the owner's."""
    names = [f"belay-cordon-{node}" for node in nodes]
    return [
        _rule(RBAC, ["clusterroles"], ["bind"]) | {"resourceNames": names},
        _rule(RBAC, ["clusterrolebindings"], ["create", "get", "delete"]),
    ]


def _cordon(node: str) -> list[Object]:
    rule = _rule("", ["nodes"], ["get", "patch"]) | {"resourceNames": [node]}
    return [
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": f"belay-cordon-{node}"},
            "rules": [rule],
        }
    ]


def _role_rules() -> list[tuple[str, str]]:
    allowed = ", ".join(f"'{one}'" for one in ALLOWED)
    return [
        (
            (
                "object.rules.all(r, has(r.resourceNames) && size(r.resourceNames) > 0"
                " && r.resourceNames.all(n, n != '') && !has(r.nonResourceURLs))"
            ),
            "every rule of a run's role names its objects",
        ),
        (
            (
                "object.rules.all(r, r.apiGroups.all(g, r.resources.all(s, r.verbs.all(v,"
                f" (g + '/' + s + ':' + v) in [{allowed}]))))"
            ),
            "a run's role may hold only what a fault on an object needs, and nothing of Secrets",
        ),
    ]


def _same_name() -> str:
    return "object.roleRef.name == object.metadata.name"


def _named(kind: str, role: str) -> tuple[str, str]:
    return (
        (
            f"object.roleRef.kind == '{kind}' && {role} && has(object.subjects)"
            " && size(object.subjects) == 1 && object.subjects[0].kind == 'ServiceAccount'"
            f" && object.subjects[0].namespace == '{RUNS}'"
            " && object.subjects[0].name == object.metadata.name"
        ),
        "a run's role is bound to the account of the same run, and to nobody else",
    )


def _policy(name: str, resource: str, validations: list[tuple[str, str]]) -> list[Object]:
    """For Belay's own account only: the label form of a run, and these rules besides."""
    account = f"system:serviceaccount:{ACCOUNT['namespace']}:{ACCOUNT['name']}"
    given = [
        (
            f"(request.operation == 'DELETE' ? oldObject : object).metadata.name.{_OURS}",
            "only what is called belay-run-… is Belay's to make or remove",
        ),
        (
            (
                "request.operation == 'DELETE' || (has(object.metadata.labels)"
                " && 'belay/order' in object.metadata.labels)"
            ),
            "the label belay/order says which run it is for",
        ),
        *((f"request.operation == 'DELETE' || ({rule})", why) for rule, why in validations),
    ]
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [RBAC],
                    "apiVersions": ["v1"],
                    "resources": [resource],
                    "operations": ["CREATE", "UPDATE", "DELETE"],
                }
            ]
        },
        "matchConditions": [
            {"name": "belay", "expression": f"request.userInfo.username == '{account}'"}
        ],
        "validations": [{"expression": rule, "message": why} for rule, why in given],
    }
    version = "admissionregistration.k8s.io/v1"
    return [
        {
            "apiVersion": version,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": spec,
        },
        {
            "apiVersion": version,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        },
    ]


def _bound(kind: str, name: str, namespace: str, rules: list[Object]) -> list[Object]:
    meta: Object = {"name": name} | ({"namespace": namespace} if namespace else {})
    reference = {"apiGroup": RBAC, "kind": kind, "name": name}
    return [
        {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": meta, "rules": rules},
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": f"{kind}Binding",
            "metadata": meta,
            "roleRef": reference,
            "subjects": [ACCOUNT],
        },
    ]


def _rule(group: str, resources: list[str], verbs: list[str]) -> Object:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}
