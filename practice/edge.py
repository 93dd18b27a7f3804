"""The edge keeper: a weakness that a range has only when it is asked for (`range weaken`).

Somebody did not want pods to start on nodes without a working edge, and wrote a small controller
that taints the nodes while Contour does not answer. With the effect NoExecute it also evicts what
runs there, on every node at once. Kubernetes' own protection against mass evictions looks at
nodes that are not ready, never at other people's taints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from practice import edge_keeper
from practice.cluster import apply, get, kubectl, wait_rolled_out
from practice.facts import RangeFacts
from practice.plan import Plan
from practice.system import RangeError
from practice.workloads import STAYS

Object = dict[str, Any]
NAME = "edge-keeper"
NAMESPACE = "projectcontour"
"""Contour's own: the kubelet tells pods the addresses of services in their namespace."""
WEAK, FIXED = "NoExecute", "NoSchedule"
RBAC = "rbac.authorization.k8s.io"


def weaken(plan: Plan) -> None:
    """Put the keeper on the range.

    Raises RangeError when the nodes have no image to run it from, and when Contour or Envoy would
    not bear its taint: it would evict what it waits for, and nothing would ever come back.
    """
    image = RangeFacts.load(plan.name).guard_image
    if not image:
        raise RangeError(
            "the keeper runs from the guard's image, and the nodes have none: "
            f"`range load-guard --name {plan.name}` first"
        )
    _require_edge_stays(plan)
    apply(plan, objects(image))
    wait_rolled_out(plan, NAMESPACE, "deployment", NAME, timeout=90)


def strengthen(plan: Plan) -> None:
    """Take the keeper away, and whatever taint it left."""
    here = ["-n", NAMESPACE, "--ignore-not-found", "--wait=true"]
    kubectl(plan, ["delete", "deployment,configmap,serviceaccount", NAME, *here], timeout=120)
    kubectl(plan, ["delete", "clusterrole,clusterrolebinding", NAME, "--ignore-not-found"])
    for node in get(plan, "nodes")["items"]:
        if any(taint["key"] == edge_keeper.TAINT for taint in node["spec"].get("taints", [])):
            kubectl(plan, ["taint", "node", node["metadata"]["name"], f"{edge_keeper.TAINT}-"])


def is_there(plan: Plan) -> bool:
    """Whether the range has the keeper; CommandError when the cluster cannot be asked."""
    look = ["get", "deployment", NAME, "-n", NAMESPACE, "--ignore-not-found", "-o", "name"]
    return bool(kubectl(plan, look).strip())


def set_effect(plan: Plan, fixed: bool) -> None:
    """Have the keeper evict (weak), or only keep new pods away (fixed)."""
    effect = FIXED if fixed else WEAK
    where = ["deployment", NAME, "-n", NAMESPACE]
    kubectl(plan, ["set", "env", *where, f"KEEPER_EFFECT={effect}"])
    wait_rolled_out(plan, NAMESPACE, "deployment", NAME, timeout=90)


def has_effect(plan: Plan) -> bool:
    """Whether the keeper on the range is the fixed one."""
    spec = get(plan, "deployment", NAME, "-n", NAMESPACE)["spec"]["template"]["spec"]
    [effect] = [e["value"] for e in spec["containers"][0]["env"] if e["name"] == "KEEPER_EFFECT"]
    return bool(effect == FIXED)


def _require_edge_stays(plan: Plan) -> None:
    """RangeError when the keeper would evict the edge that it waits for."""
    for kind, name in (("deployment", "contour"), ("daemonset", "envoy")):
        spec = get(plan, kind, name, "-n", NAMESPACE)["spec"]["template"]["spec"]
        if STAYS not in spec.get("tolerations", []):
            raise RangeError(
                f"{kind} {name} does not tolerate the keeper's taint: range {plan.name} was raised "
                f"before there was a keeper; `range down --name {plan.name}`, then up again"
            )


def objects(image: str) -> list[Object]:
    """The keeper's program, account, rights and pod."""
    meta = {"name": NAME, "namespace": NAMESPACE}
    labels = {"app": NAME}
    container = {
        "name": NAME,
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["/usr/bin/python3", "-u", "/program/keeper.py"],
        "env": [{"name": "KEEPER_EFFECT", "value": WEAK}],
        "volumeMounts": [{"name": "program", "mountPath": "/program"}],
        "resources": {"requests": {"cpu": "10m", "memory": "24Mi"}},
    }
    pod = {
        "serviceAccountName": NAME,
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "program", "configMap": {"name": NAME}}],
    }
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
    rule = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "patch"]}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": NAME},
         "rules": [rule]},
        {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": NAME},
         "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": NAME},
         "subjects": [subject]},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta,
         "data": {"keeper.py": Path(edge_keeper.__file__).read_text(encoding="utf-8")}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta | {"labels": labels},
         "spec": {
             "replicas": 1,
             # Two of them would only undo each other's work in the middle of a change.
             "strategy": {"type": "Recreate"},
             "selector": {"matchLabels": labels},
             "template": {"metadata": {"labels": labels}, "spec": pod},
         }},
    ]  # fmt: skip
