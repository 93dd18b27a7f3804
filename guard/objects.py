"""What each change of an API object touches, and how it is put back. Pure: looks and computes.

Only the fields named here are ever read into the journal, changed or restored; what else happens
to an object in the meantime is not the guard's. The bad values are fixed texts of this file: no
object body comes over the wire. There is no kind for a Secret.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from guard.kube import MERGE_PATCH, STRATEGIC_MERGE_PATCH, Json
from guard.protocol import ObjectChange, ObjectKind, ObjectTarget

BAD_IMAGE = "belay.invalid/no-such-image:belay-gameday"
"""`.invalid` is reserved (RFC 2606): the name resolves nowhere, and nothing can be pulled."""
BAD_VALUE = "belay-gameday-bad-value"
BAD_CONFIG = "belay gameday: {{ this is no configuration\n"
NOWHERE = "belay-gameday-nowhere"
"""A service that does not exist; Contour answers 503 and says ServiceUnresolvedReference."""
INVALID_PREFIX = "belay-gameday-without-a-slash"
"""Passes the schema, but Contour takes no route condition that does not begin with a slash."""
BUMP = "belay-guard/late-change-refused"
"""Written and removed again where nothing was to be restored: see `bump_patch`."""

_GROUPS = {
    ObjectKind.DEPLOYMENT: ("apis/apps/v1", "deployments"),
    ObjectKind.CONFIG_MAP: ("api/v1", "configmaps"),
    ObjectKind.HTTP_PROXY: ("apis/projectcontour.io/v1", "httpproxies"),
    ObjectKind.NODE: ("api/v1", "nodes"),
    ObjectKind.POD: ("api/v1", "pods"),
}
TERMINATIONS = frozenset({ObjectChange.EVICT, ObjectChange.DELETE_POD})
"""Ends a pod: there is nothing to put back, its owner makes another one."""


class UnfitError(ValueError):
    """The object has not what the change would change; the text says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Patch:
    body: Json
    content_type: str


def named(target: ObjectTarget) -> str:
    """`deployment shop/prices`: how people find it."""
    place = f"{target.namespace}/" if target.namespace else ""
    return f"{target.kind} {place}{target.name}"


def path(target: ObjectTarget) -> str:
    group, plural = _GROUPS[target.kind]
    place = f"namespaces/{quote(target.namespace, safe='')}/" if target.namespace else ""
    return f"/{group}/{place}{plural}/{quote(target.name, safe='')}"


def touched(target: ObjectTarget, found: Json) -> str:
    """The touched field of an object as canonical JSON; raise `UnfitError` where there is none."""
    return _text(_READ[target.change](target, found))


def changed(target: ObjectTarget, before: str) -> str:
    """What the touched field is to become, given what it was."""
    value = json.loads(before)
    match target.change:
        case ObjectChange.SCALE_TO_ZERO:
            new: Any = 0
        case ObjectChange.BAD_IMAGE:
            new = BAD_IMAGE
        case ObjectChange.BAD_ENV:
            new = [value[0], BAD_VALUE]
        case ObjectChange.BAD_CONFIG:
            new = BAD_CONFIG
        case ObjectChange.CORDON:
            new = True
        case ObjectChange.ROUTE_NOWHERE:
            new = [
                route | {"services": [{"name": NOWHERE, "port": 80}]}
                for route in copy.deepcopy(value)
            ]
        case ObjectChange.ROUTE_INVALID:
            new = [
                route | {"conditions": [{"prefix": INVALID_PREFIX}]}
                for route in copy.deepcopy(value)
            ]
        case _:
            raise UnfitError(f"change {target.change} leaves nothing behind")
    if _text(new) == before:
        raise UnfitError(f"{named(target)} is already as the fault would make it ({before[:80]})")
    return _text(new)


def patch(target: ObjectTarget, value: str, resource_version: str) -> Patch:
    """Set the touched field, only on exactly this version of exactly this object."""
    new = json.loads(value)
    content_type = MERGE_PATCH
    match target.change:
        case ObjectChange.SCALE_TO_ZERO:
            body: Json = {"spec": {"replicas": new}}
        case ObjectChange.BAD_IMAGE:
            body, content_type = _container(target.key, {"image": new}), STRATEGIC_MERGE_PATCH
        case ObjectChange.BAD_ENV:
            container, new = new
            body = _container(container, {"env": [{"name": target.key, "value": new}]})
            content_type = STRATEGIC_MERGE_PATCH
        case ObjectChange.BAD_CONFIG:
            body = {"data": {target.key: new}}
        case ObjectChange.CORDON:
            # A merge patch takes a field away with null: uncordoned nodes have none.
            body = {"spec": {"unschedulable": new or None}}
        case _:
            body = {"spec": {"routes": new}}
    return Patch(body=_bound(target, body, resource_version), content_type=content_type)


def bump_patch(target: ObjectTarget, resource_version: str, *, present: bool) -> Patch:
    """Make the object a newer version without touching what it means.

    A change that was sent and never answered may still be on its way. It carries the version that
    was armed; once the object is another version, the API server refuses it with 409. The API
    takes no empty write for a new version, so an annotation comes and goes.
    """
    body: Json = {"metadata": {"annotations": {BUMP: "1" if present else None}}}
    return Patch(body=_bound(target, body, resource_version), content_type=MERGE_PATCH)


def termination(target: ObjectTarget, *, dry_run: bool) -> tuple[str, str, Json]:
    """Method, path and body that end a pod, only in exactly this version of it."""
    options: Json = {
        "preconditions": {"uid": target.uid, "resourceVersion": target.resource_version}
    }
    if dry_run:
        options["dryRun"] = ["All"]
    if target.change is ObjectChange.DELETE_POD:
        return "DELETE", path(target), {"apiVersion": "v1", "kind": "DeleteOptions"} | options
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": target.name, "namespace": target.namespace},
        "deleteOptions": options,
    }
    return "POST", f"{path(target)}/eviction", eviction


def taken_up(target: ObjectTarget, found: Json) -> bool:
    """Whether whoever acts on the object has acted on the change: what "bitten" means for it."""
    if target.kind is not ObjectKind.DEPLOYMENT:
        return True
    status = found.get("status") or {}
    if status.get("observedGeneration", 0) < found.get("metadata", {}).get("generation", 0):
        return False
    if target.change is ObjectChange.SCALE_TO_ZERO:
        return not status.get("replicas") and not status.get("readyReplicas")
    return True


def _replicas(_target: ObjectTarget, found: Json) -> Any:
    return _spec(found).get("replicas", 1)


def _image(target: ObjectTarget, found: Json) -> Any:
    for container in _containers(found):
        if container.get("name") == target.key:
            return container.get("image", "")
    raise UnfitError(f"{named(target)} has no container {target.key!r}")


def _environment(target: ObjectTarget, found: Json) -> Any:
    """Container and value: the variable may be set in one container only."""
    places = [
        (container.get("name"), item)
        for container in _containers(found)
        for item in container.get("env") or []
        if item.get("name") == target.key
    ]
    if len(places) != 1:
        raise UnfitError(
            f"{len(places)} containers of {named(target)} set {target.key}; there must be one"
        )
    [(container, item)] = places
    if "valueFrom" in item:
        raise UnfitError(
            f"{target.key} of container {container} comes from elsewhere (valueFrom); only a plain"
            " value can be a target"
        )
    return [container, item.get("value", "")]


def _entry(target: ObjectTarget, found: Json) -> Any:
    data = found.get("data") or {}
    if target.key not in data:
        known = ", ".join(sorted(data)) or "none"
        raise UnfitError(f"{named(target)} has no entry {target.key!r}; it has: {known}")
    return data[target.key]


def _routes(target: ObjectTarget, found: Json) -> Any:
    routes = _spec(found).get("routes")
    if not routes:
        raise UnfitError(f"{named(target)} has no routes of its own")
    return routes


def _unschedulable(_target: ObjectTarget, found: Json) -> Any:
    return bool(_spec(found).get("unschedulable", False))


_READ: dict[ObjectChange, Callable[[ObjectTarget, Json], Any]] = {
    ObjectChange.SCALE_TO_ZERO: _replicas,
    ObjectChange.BAD_IMAGE: _image,
    ObjectChange.BAD_ENV: _environment,
    ObjectChange.BAD_CONFIG: _entry,
    ObjectChange.ROUTE_NOWHERE: _routes,
    ObjectChange.ROUTE_INVALID: _routes,
    ObjectChange.CORDON: _unschedulable,
    ObjectChange.EVICT: lambda _target, _found: None,
    ObjectChange.DELETE_POD: lambda _target, _found: None,
}


def _spec(found: Json) -> Json:
    spec = found.get("spec")
    return spec if isinstance(spec, dict) else {}


def _containers(found: Json) -> list[Json]:
    pod = (_spec(found).get("template") or {}).get("spec") or {}
    return list(pod.get("containers") or [])


def _container(name: str, fields: Json) -> Json:
    return {"spec": {"template": {"spec": {"containers": [{"name": name} | fields]}}}}


def _bound(target: ObjectTarget, body: Json, resource_version: str) -> Json:
    metadata = body.get("metadata", {}) | {"uid": target.uid, "resourceVersion": resource_version}
    return body | {"metadata": metadata}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
