"""API objects as steps touch them: reading, three-way writing, and whose they are.

No path here leads to a Secret. Every write names the UID and the version that were looked at, so
that somebody else's change, or a delayed request of ours, is refused by the API and not lost.
"""

from __future__ import annotations

import copy
import json
from typing import Any, cast
from urllib.parse import quote, urlencode

from core.errors import ClusterUnreachable
from core.redaction import HIDDEN, NAMES, redact, redact_shapes
from migrator.runners.base import Answered, Api, ForeignChangeError, Object, StepRefusedError

MANAGER = "belay"
"""Our field manager: what stands under it in `managedFields` was set by a step."""
KINDS: dict[str, tuple[str, str]] = {
    "Deployment": ("apps/v1", "deployments"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "Service": ("v1", "services"),
    "ConfigMap": ("v1", "configmaps"),
    "HTTPProxy": ("projectcontour.io/v1", "httpproxies"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
}
"""Kinds that a step may make and change, each in its one version. Never one that holds secrets, or
that gives rights."""
OWN_NAMESPACES = frozenset({"belay", "belay-guard", "belay-marker", "belay-runs"})
_BUMP = "belay/outdated"
_GITOPS_MARKS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "fleet.cattle.io/bundle-id": "Fleet",
}
_GITOPS_MANAGERS = {
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
}
_VOLATILE = ("resourceVersion", "generation", "managedFields", "creationTimestamp", "uid")


def path_of(kind: str, namespace: str, name: str) -> str:
    version, plural = KINDS[kind]
    root = "api" if "/" not in version else "apis"
    return (
        f"/{root}/{version}/namespaces/{quote(namespace, safe='')}/{plural}/{quote(name, safe='')}"
    )


def read(api: Api, kind: str, namespace: str, name: str) -> Object | None:
    """The object; None where there is none.

    Raises:
        StepRefusedError: `own_namespace`, `may_not_read`.
        ClusterUnreachable: the API gave no answer about it.
    """
    if namespace in OWN_NAMESPACES:
        raise StepRefusedError(
            f"Namespace {namespace} is Belay's own; no step touches it.", code="own_namespace"
        )
    answer = api.ask("GET", path_of(kind, namespace, name))
    if answer.status == 404:
        return None
    if answer.status in (401, 403):
        raise StepRefusedError(
            f"Belay's account may not read {kind} {namespace}/{name} (HTTP {answer.status}). Let "
            f"the cluster's owner opt the namespace in: {_opt_in(namespace)}.",
            code="may_not_read",
        )
    if answer.status != 200:
        raise ClusterUnreachable(f"HTTP {answer.status} when asked for {kind} {namespace}/{name}")
    return answer.document


def require(api: Api, kind: str, namespace: str, name: str) -> Object:
    """As `read`; `StepRefusedError` (`object_gone`) where there is none."""
    found = read(api, kind, namespace, name)
    if found is None:
        raise StepRefusedError(
            f"There is no {kind} {namespace}/{name} on this cluster. Was it renamed or removed? "
            "Correct the step, then start it again.",
            code="object_gone",
        )
    return found


def require_not_gitops(found: Object, *, overridden: bool) -> None:
    """Refuse (`gitops_managed`) what a GitOps controller would write back within minutes."""
    who = gitops_owner(found)
    if who and not overridden:
        meta = found["metadata"]
        raise StepRefusedError(
            f"{found.get('kind', 'The object')} {meta.get('namespace', '')}/{meta['name']} is "
            f"managed by {who}, which would undo a change made here. Make the change in its "
            "repository and use an observe step, or allow it in this step's settings.",
            code="gitops_managed",
        )


def gitops_owner(found: Object) -> str:
    """The GitOps tool that manages an object; empty: none that we know."""
    meta = found.get("metadata") or {}
    marks = {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}
    for mark, who in _GITOPS_MARKS.items():
        if mark in marks:
            return who
    for entry in meta.get("managedFields") or []:
        who = _GITOPS_MANAGERS.get(str(entry.get("manager", "")), "")
        if who:
            return who
    return ""


def patch(api: Api, kind: str, found: Object, change: Object, *, dry_run: bool = False) -> Object:
    """Merge `change` into exactly the version of the object that was read.

    Raises:
        ForeignChangeError: it is another version, or another object, by now.
        StepRefusedError: `may_not_write`, or `not_valid` with what the API said.
        ClusterUnreachable: no answer; whether it was taken is unknown.
    """
    meta = found["metadata"]
    condition = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
    body = {**change, "metadata": {**(change.get("metadata") or {}), **condition}}
    query = {"fieldManager": MANAGER} | ({"dryRun": "All"} if dry_run else {})
    path = f"{path_of(kind, meta['namespace'], meta['name'])}?{urlencode(query)}"
    answer = api.ask("PATCH", path, body, content_type="application/merge-patch+json")
    return taken(answer, f"{kind} {meta['namespace']}/{meta['name']}", meta["namespace"])


def outdate(api: Api, kind: str, found: Object) -> None:
    """A new version of the object with nothing in it changed. The API takes no empty write for
    one, so an annotation comes and goes. Errors as `patch`, but for a conflict, after which the
    object is looked at again: `ClusterUnreachable`."""
    try:
        for value in ("1", None):
            found = patch(api, kind, found, {"metadata": {"annotations": {_BUMP: value}}})
    except ForeignChangeError as error:
        raise ClusterUnreachable("the object was changed in this very moment") from error


def taken(answer: Answered, what: str, namespace: str) -> Object:
    """The object after a write that the API took; errors as `patch`."""
    if answer.status in (200, 201):
        return answer.document
    said = str(answer.document.get("message", ""))[:300]
    if answer.status in (404, 409):
        raise ForeignChangeError(
            f"{what} was changed or removed by somebody else in between ({said or answer.status}). "
            "Theirs was left as it is. Look at it, then start again."
        )
    if answer.status in (401, 403):
        raise StepRefusedError(
            f"Belay's account may not change {what} (HTTP {answer.status}). Let the cluster's "
            f"owner opt the namespace in: {_opt_in(namespace)}.",
            code="may_not_write",
        )
    if answer.status in (400, 415, 422):
        raise StepRefusedError(
            f"The cluster does not take this change of {what}: {said or answer.status}. Correct "
            "the step, then start it again.",
            code="not_valid",
        )
    raise ClusterUnreachable(f"HTTP {answer.status} when asked to change {what}")


def essence(found: Object | None) -> Object:
    """The object as comparable data: what people set, without status, times and versions."""
    if found is None:
        return {"present": False}
    kept = {key: value for key, value in found.items() if key not in ("status", "apiVersion")}
    meta = {key: value for key, value in found["metadata"].items() if key not in _VOLATILE}
    annotations = dict(meta.get("annotations") or {})
    # kubectl's copy of all that was ever applied with it, passwords too: what counts of it stands
    # in the object itself.
    annotations.pop("kubectl.kubernetes.io/last-applied-configuration", None)
    # The Deployment controller counts rollouts; a return is one more of them, and no difference.
    annotations.pop("deployment.kubernetes.io/revision", None)
    meta.pop("annotations", None)
    if annotations:
        meta["annotations"] = annotations
    # It is only compared: what could be a secret is hidden on both sides.
    return without_secrets({"present": True, **kept, "metadata": meta})


def without_secrets(document: Object) -> Object:
    """A copy with everything hidden that could be a secret: by its shape, and, where an object
    gives a value its name in a field beside it (`env`) or by its key (`data`), by that name."""
    hidden = cast("Object", redact_shapes(_named_hidden(copy.deepcopy(document))))
    for field in ("data", "binaryData"):
        if isinstance(hidden.get(field), dict):
            hidden[field] = redact(hidden[field])
    return hidden


def _named_hidden(value: Any) -> Any:
    if isinstance(value, list):
        return [_named_hidden(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: _named_hidden(item) for key, item in value.items()}
    name = found.get("name")
    if isinstance(name, str) and isinstance(found.get("value"), str) and NAMES.search(name):
        found["value"] = HIDDEN if found["value"] else ""
    return found


def same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def rolled_out(found: Object) -> tuple[bool, str]:
    """Whether a Deployment or StatefulSet has come to what its spec says, and how far it is."""
    status, spec = found.get("status") or {}, found["spec"]
    wanted = spec.get("replicas", 1)
    ready = status.get("readyReplicas", 0)
    seen = status.get("observedGeneration", 0) >= found["metadata"].get("generation", 0)
    updated = status.get("updatedReplicas", 0)
    total = status.get("replicas", 0)
    done = seen and updated == total == ready == wanted
    return done, f"{ready} of {wanted} ready, {updated} of the new version"


def _opt_in(namespace: str) -> str:
    return f"`belay cluster onboard … --migrates-in {namespace}`; SECURITY.md says what it gives"
