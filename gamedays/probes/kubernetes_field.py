"""One field of one Kubernetes object, compared with a value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from core import kube
from core import object_paths as paths
from core.errors import ClusterUnreachable
from core.fields import Field, Value
from gamedays.choices import MustHold
from gamedays.probes import comparisons
from gamedays.probes.base import Attempt, Kind, ProbeSpec, Surroundings, shortened

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_PRESENCE = {"exists": "is there", "absent": "is not there"}


@dataclass(frozen=True)
class _Resource:
    api: str
    plural: str
    namespaced: bool = True


RESOURCES: dict[str, _Resource] = {
    "Deployment": _Resource("apis/apps/v1", "deployments"),
    "StatefulSet": _Resource("apis/apps/v1", "statefulsets"),
    "DaemonSet": _Resource("apis/apps/v1", "daemonsets"),
    "Pod": _Resource("api/v1", "pods"),
    "Service": _Resource("api/v1", "services"),
    "PersistentVolumeClaim": _Resource("api/v1", "persistentvolumeclaims"),
    "Job": _Resource("apis/batch/v1", "jobs"),
    "CronJob": _Resource("apis/batch/v1", "cronjobs"),
    "HorizontalPodAutoscaler": _Resource("apis/autoscaling/v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": _Resource("apis/policy/v1", "poddisruptionbudgets"),
    "Ingress": _Resource("apis/networking.k8s.io/v1", "ingresses"),
    "Lease": _Resource("apis/coordination.k8s.io/v1", "leases"),
    "HTTPProxy": _Resource("apis/projectcontour.io/v1", "httpproxies"),
    "Gateway": _Resource("apis/gateway.networking.k8s.io/v1", "gateways"),
    "HTTPRoute": _Resource("apis/gateway.networking.k8s.io/v1", "httproutes"),
    "Node": _Resource("api/v1", "nodes", namespaced=False),
    "Namespace": _Resource("api/v1", "namespaces", namespaced=False),
}
"""Where each kind is found. Secret and ConfigMap are not among them and never will be: their
values are what others must not see."""


def probe_kubernetes_field(spec: ProbeSpec, surroundings: Surroundings) -> Attempt:
    """GET the object through the common address. Only an answer about the object is judged: an API
    that is away, or that forbids the look, leaves it unknown."""
    parameters = spec.parameters
    try:
        answer = kube.fresh_request(
            surroundings.credentials, "GET", _path(parameters), timeout_s=spec.timeout_s
        )
    except ClusterUnreachable as error:
        return Attempt(passed=None, detail=shortened(error.message))
    if answer.status == 403:
        return Attempt(
            passed=None,
            latency_ms=answer.latency_ms,
            detail=shortened(
                f"Belay may not read this {parameters['kind']}: its owner has to grant `get`"
            ),
        )
    if answer.status not in (200, 404):
        return Attempt(
            passed=None, latency_ms=answer.latency_ms, detail=f"the API answered {answer.status}"
        )
    if answer.status == 404:
        looked = _judge_absent(parameters, f"there is no {_object(parameters)}")
    else:
        try:
            document = answer.json()
        except json.JSONDecodeError:
            return Attempt(passed=None, detail="the API's answer is no JSON")
        looked = judge(parameters, document)
    return Attempt(
        passed=looked.passed, latency_ms=answer.latency_ms, detail=looked.detail, seen=looked.seen
    )


def judge(parameters: Mapping[str, object], document: object) -> Attempt:
    """Compare the field of an object that was read."""
    path, comparison = str(parameters["path"]), str(parameters["comparison"])
    try:
        found = paths.find(document, paths.parse(path))
    except paths.AbsentError:
        default = parameters.get("when_absent")
        if default is None or comparison in _PRESENCE:
            return _judge_absent(parameters, f"{path} is not there")
        found = str(default)
    if comparison in _PRESENCE:
        there = found is not None
        seen = f"{path} {_PRESENCE['exists' if there else 'absent']}"
        as_wanted = there == (comparison == "exists")
        return Attempt(passed=as_wanted, detail="" if as_wanted else seen, seen=seen)
    if found is None or isinstance(found, dict | list):
        return Attempt(
            passed=None,
            detail=f"{path} is no single value: name a field inside it",
            seen="no value",
        )
    words = comparisons.in_words(found)
    passed = comparisons.holds(found, comparison, str(parameters.get("value", "")))
    wanted = f"{comparisons.NUMERIC[comparison].words} {parameters.get('value', '')}"
    detail = ""
    if passed is None:
        detail = shortened(f"{words!r} and {parameters.get('value')!r} cannot be compared so")
    elif not passed:
        detail = shortened(f"{words}, wanted {wanted}")
    return Attempt(passed=passed, detail=detail, seen=shortened(f"{path} is {words}"))


def _judge_absent(parameters: Mapping[str, object], why: str) -> Attempt:
    passed = parameters["comparison"] == "absent"
    return Attempt(passed=passed, detail="" if passed else shortened(why), seen=shortened(why))


def _path(parameters: Mapping[str, object]) -> str:
    resource = RESOURCES[str(parameters["kind"])]
    inside = f"/namespaces/{parameters['namespace']}" if resource.namespaced else ""
    return f"/{resource.api}{inside}/{resource.plural}/{parameters['name']}"


def _object(parameters: Mapping[str, object]) -> str:
    inside = f"{parameters['namespace']}/" if parameters.get("namespace") else ""
    return f"{parameters.get('kind')} {inside}{parameters.get('name')}"


def _check(values: dict[str, Value]) -> dict[str, str]:
    errors = {}
    kind = str(values.get("kind", ""))
    if kind in RESOURCES and RESOURCES[kind].namespaced != ("namespace" in values):
        errors["namespace"] = (
            f"Namespace: a {kind} is in one; name it."
            if RESOURCES[kind].namespaced
            else f"Namespace: a {kind} is in none; leave this empty."
        )
    comparison = str(values.get("comparison", ""))
    if comparison in _PRESENCE:
        if "value" in values:
            errors["value"] = f"Value: “{_PRESENCE[comparison]}” compares with none; empty this."
    elif comparison:
        value = values.get("value", "")
        if value == "":
            errors["value"] = "Value: give what the field is compared with."
        elif comparison not in ("equals", "differs") and comparisons.as_number(value) is None:
            errors["value"] = f"Value: {value!r} is no number, and so nothing is above or below it."
    return errors


def _require_name(text: str) -> None:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a Kubernetes object.")


def _in_words(parameters: Mapping[str, object]) -> str:
    comparison = str(parameters.get("comparison"))
    bound = _PRESENCE.get(comparison)
    if bound is None:
        bound = f"{comparisons.NUMERIC[comparison].words} {parameters.get('value')}"
    return f"{_object(parameters)}: {parameters.get('path')} {bound}"


KUBERNETES_FIELD = Kind(
    prober=probe_kubernetes_field,
    summary="Reads one field of one object, and compares it. Unknown while the API is away.",
    in_words=_in_words,
    icon="packages",
    users_may_feel=False,
    must_hold=MustHold.AFTERWARDS,
    asks_api=True,
    check=_check,
    fields=(
        Field(
            name="kind",
            label="Kind",
            kind="choice",
            default="Deployment",
            choices=tuple((kind, kind) for kind in RESOURCES),
        ),
        Field(name="namespace", label="Namespace", required=False, check=_require_name),
        Field(name="name", label="Object's name", check=_require_name, longest=253),
        Field(
            name="path",
            label="Field",
            placeholder="status.readyReplicas",
            check=paths.parse,
            help="Like kubectl's JSONPath: status.conditions[type=Ready].status.",
        ),
        Field(
            name="comparison",
            label="Passes when it",
            kind="choice",
            default="at_least",
            choices=(
                *comparisons.NUMERIC_CHOICES,
                *((key, words) for key, words in _PRESENCE.items()),
            ),
        ),
        Field(name="value", label="Value", required=False, longest=120),
        Field(
            name="when_absent",
            label="If the field is not there, take",
            required=False,
            longest=120,
            help="Kubernetes leaves out zeros: 0 makes a missing readyReplicas count as none.",
        ),
    ),
)
