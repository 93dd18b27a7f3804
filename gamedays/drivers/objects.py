"""API objects as targets: finding what a name stands for, and looking how it is.

Reads only, on fresh connections, with Belay's own account. Changes are made and undone by a guard
with the run's own account (`gamedays.drivers.run_account`). No path here leads to a Secret.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlencode

from core import kube
from core.errors import ClusterRefused, ClusterUnreachable, Invalid, NotFound
from gamedays.scenarios.plan import ObjectFault, ObjectTarget

Object = dict[str, Any]

_PATHS = {
    "deployment": ("apis/apps/v1", "deployments"),
    "config-map": ("api/v1", "configmaps"),
    "http-proxy": ("apis/projectcontour.io/v1", "httpproxies"),
    "node": ("api/v1", "nodes"),
    "pod": ("api/v1", "pods"),
}
OWN_NAMESPACES = frozenset({"belay", "belay-guard", "belay-marker", "belay-runs"})
"""What Belay itself stands on is never a target."""
MAX_TARGETS = 50
"""As many objects as a guard takes in one order."""
_MIRROR = "kubernetes.io/config.mirror"
_READ_S = 3.0


class Objects:
    """Looks at one cluster's objects. Needs no database."""

    def __init__(self, credentials: kube.Credentials) -> None:
        self._credentials = credentials

    def read_target(self, fault: ObjectFault) -> tuple[ObjectTarget, ...]:
        """What the name stands for now: UID and version of every object that is meant.

        Raises:
            NotFound: nothing of that name, or no pod that could be meant.
            ClusterRefused: Belay's own parts, too many objects, pods that nobody would make
                anew, or an object that Belay's account may not read.
            ClusterUnreachable: the API gave no answer.
        """
        if fault.namespace in OWN_NAMESPACES:
            raise ClusterRefused(
                f"Namespace {fault.namespace} is Belay's own and can hold no target.",
                code="own_namespace",
            )
        if fault.select:
            found = self._pods(fault)
        else:
            found = [self._get(fault.kind, fault.namespace, fault.name)]
        if len(found) > MAX_TARGETS:
            raise ClusterRefused(
                f"{fault} stands for {len(found)} pods; a fault takes at most {MAX_TARGETS}. "
                "Choose a smaller target.",
                code="too_many_targets",
            )
        return tuple(_target(fault, each) for each in found)

    def fingerprint(self, targets: Iterable[ObjectTarget]) -> dict[str, Object]:
        """How the targets are, as comparable data: hashes and counts, never contents.

        A pod is looked at through what made it: it does not come back itself, others like it do.

        Raises:
            NotFound, ClusterRefused, ClusterUnreachable: as `read_target`.
        """
        prints: dict[str, Object] = {}
        for target in targets:
            if target.kind == "pod":
                continue
            found = self._get(target.kind, target.namespace, target.name)
            prints[key_of(target)] = _fingerprint(target, found)
        return prints | self._owners([target for target in targets if target.kind == "pod"])

    def ready_like(self, namespace: str, owner_uid: str) -> int:
        """How many ready pods of one owner there are."""
        return len([pod for pod in self._list(namespace) if owned(pod, owner_uid) and ready(pod)])

    # -- reading ----------------------------------------------------------------------------------

    def _owners(self, pods: list[ObjectTarget]) -> dict[str, Object]:
        """Per owner of a pod that is to go: how many of its pods were ready."""
        prints: dict[str, Object] = {}
        listed: dict[str, list[Object]] = {}
        for target in pods:
            if target.namespace not in listed:
                listed[target.namespace] = self._list(target.namespace)
            found = next(
                (p for p in listed[target.namespace] if p["metadata"]["uid"] == target.uid), None
            )
            owner = _controller(found) if found else None
            if owner is None:
                raise NotFound(
                    f"Pod {target.namespace}/{target.name} is not there any more, or nobody would "
                    "make it anew. Start again.",
                    code="unknown_object",
                )
            count = len(
                [p for p in listed[target.namespace] if owned(p, owner["uid"]) and ready(p)]
            )
            prints[f"{owner['kind']} {target.namespace}/{owner['name']}"] = {
                "owner_uid": owner["uid"],
                "namespace": target.namespace,
                "ready": count,
            }
        return prints

    def _pods(self, fault: ObjectFault) -> list[Object]:
        if fault.select == "pods-on":
            pods = self._movable(fault.name)
        else:
            deployment = self._get("deployment", fault.namespace, fault.name)
            labels = (deployment["spec"].get("selector") or {}).get("matchLabels") or {}
            if not labels:
                raise ClusterRefused(
                    f"Deployment {fault} selects its pods by expressions; Belay reads labels "
                    "only. Choose another one.",
                    code="unreadable_selector",
                )
            selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
            listed = self._list(fault.namespace, labelSelector=selector)
            pods = [pod for pod in listed if _lives(pod) and ready(pod)]
            pods.sort(key=lambda pod: str(pod["metadata"]["name"]))
            if fault.select == "one-pod-of":
                pods = pods[:1]
        if not pods:
            raise NotFound(
                f"No ready pod belongs to {fault}. Look whether it runs, then start again.",
                code="no_pods",
            )
        return pods

    def _movable(self, node: str) -> list[Object]:
        """What a drain would evict: no mirror pods, no DaemonSet's, nothing that has ended."""
        pods = []
        for pod in self._list("", fieldSelector=f"spec.nodeName={node}"):
            owner = _controller(pod)
            mirror = _MIRROR in (pod["metadata"].get("annotations") or {})
            if mirror or not _lives(pod) or (owner and owner["kind"] == "DaemonSet"):
                continue
            name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            if owner is None:
                raise ClusterRefused(
                    f"Pod {name} on {node} has no controller: evicted, it would not come back. "
                    "Move it away first.",
                    code="bare_pod",
                )
            if pod["metadata"]["namespace"] in OWN_NAMESPACES:
                raise ClusterRefused(
                    f"Pod {name} on {node} belongs to Belay; it must not be evicted.",
                    code="own_namespace",
                )
            pods.append(pod)
        return pods

    def _get(self, kind: str, namespace: str, name: str) -> Object:
        group, plural = _PATHS[kind]
        place = f"namespaces/{quote(namespace, safe='')}/" if namespace else ""
        return self._ask(f"/{group}/{place}{plural}/{quote(name, safe='')}", f"{kind} {name}")

    def _list(self, namespace: str, **query: str) -> list[Object]:
        place = f"namespaces/{quote(namespace, safe='')}/" if namespace else ""
        found = self._ask(f"/api/v1/{place}pods?{urlencode(query)}", f"pods of {namespace or 'it'}")
        return list(found["items"])

    def _ask(self, path: str, what: str) -> Object:
        answer = kube.fresh_request(self._credentials, "GET", path, timeout_s=_READ_S)
        if answer.status == 404:
            raise NotFound(
                f"There is no {what} in this cluster. Choose the one that is meant, as "
                "namespace/name.",
                code="unknown_object",
            )
        if answer.status in (401, 403):
            raise ClusterRefused(
                f"Belay's account may not read {what} (HTTP {answer.status}). Let the cluster's "
                "owner opt its namespace in; SECURITY.md says how.",
                code="may_not_read",
            )
        if answer.status != 200:
            raise ClusterUnreachable(f"HTTP {answer.status} when asked for {what}")
        try:
            return dict(answer.json())
        except (json.JSONDecodeError, TypeError, ValueError) as error:
            raise ClusterUnreachable(f"an answer that is no object when asked for {what}") from (
                error
            )


def key_of(target: ObjectTarget) -> str:
    place = f"{target.namespace}/" if target.namespace else ""
    return f"{target.kind} {place}{target.name}"


def owned(pod: Object, owner_uid: str) -> bool:
    owner = _controller(pod)
    return owner is not None and owner["uid"] == owner_uid


def ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return not pod["metadata"].get("deletionTimestamp") and any(
        each.get("type") == "Ready" and each.get("status") == "True" for each in conditions
    )


def _lives(pod: Object) -> bool:
    phase = (pod.get("status") or {}).get("phase", "")
    return not pod["metadata"].get("deletionTimestamp") and phase not in ("Succeeded", "Failed")


def _controller(pod: Object) -> Object | None:
    owners = pod["metadata"].get("ownerReferences") or []
    return next((dict(owner) for owner in owners if owner.get("controller")), None)


def _target(fault: ObjectFault, found: Object) -> ObjectTarget:
    metadata = found["metadata"]
    return ObjectTarget(
        kind=fault.kind,
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        change=fault.change,
        key=fault.key or _only_part(fault, found),
    )


def _only_part(fault: ObjectFault, found: Object) -> str:
    """Where nobody said which part is meant, and there is only one: that one."""
    if fault.change == "bad-image":
        parts, what = _containers(found), "container"
    elif fault.change == "bad-env":
        pod = found["spec"]["template"]["spec"]
        variables = [item for each in pod["containers"] for item in each.get("env") or []]
        parts, what = [each["name"] for each in variables if "value" in each], "variable"
    elif fault.change == "bad-config":
        parts, what = sorted(found.get("data") or {}), "entry"
    else:
        return ""
    if len(parts) != 1:
        raise Invalid(
            f"Say which {what} of {fault} is meant; it has: {', '.join(parts) or 'none'}.",
            code="part_needed",
        )
    return str(parts[0])


def _containers(found: Object) -> list[str]:
    return [each["name"] for each in found["spec"]["template"]["spec"]["containers"]]


def _fingerprint(target: ObjectTarget, found: Object) -> Object:
    content: Object = {"spec": found.get("spec")}
    if target.kind == "config-map":
        content = {"data": found.get("data"), "binaryData": found.get("binaryData")}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    seen: Object = {
        "uid": found["metadata"]["uid"],
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    if target.kind == "deployment":
        status, spec = found.get("status") or {}, found["spec"]
        wanted = spec.get("replicas", 1)
        seen["available"] = status.get("availableReplicas", 0)
        seen["settled"] = (
            status.get("observedGeneration", 0) >= found["metadata"].get("generation", 0)
            and status.get("updatedReplicas", 0) == status.get("replicas", 0) == wanted
        )
    return seen
