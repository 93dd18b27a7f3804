"""A short-lived privileged pod on one node, with the owner's credential: install or uninstall."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import urllib3
from kubernetes import client as k8s

from core.errors import ClusterRefused, ClusterUnreachable, DomainError
from guard.protocol import INSTALL_FAILED, INSTALLED, UNINSTALLED, to_json

if TYPE_CHECKING:
    from guard.protocol import Policy

NAMESPACE = "belay-guard"
WITHIN_S = 180.0
_POLL_S = 0.5
_PRIVILEGED = {"pod-security.kubernetes.io/enforce": "privileged"}


def run_on_node(
    api: k8s.ApiClient,
    *,
    node: str,
    image: str,
    verb: str,
    policy: Policy,
    fresh_key: bool = False,
) -> str:
    """Run `python3 -m guard VERB` on a node; the guard's certificate (PEM) for `install`.

    `fresh_key`: the node makes another key, also where it has one.

    The pod is deleted afterwards, whatever came of it.

    Raises:
        ClusterRefused: the guard's own refusal, in its words; `owner_rights`: the kubeconfig may
            not do this.
        ClusterUnreachable: no answer from the cluster's API.
        DomainError: `guard_pod`: the pod did not come to an end, or said nothing.
    """
    core = k8s.CoreV1Api(api)
    name = f"{verb}-{node}"[:63].rstrip("-.")
    try:
        _make_namespace(core)
        _delete(core, name)
        core.create_namespaced_pod(
            NAMESPACE, _pod(name, node, image, _words(verb, policy, fresh_key))
        )
        try:
            phase = _await_end(core, name)
            said = core.read_namespaced_pod_log(name, NAMESPACE)
        finally:
            _delete(core, name)
    except k8s.ApiException as error:
        if error.status in (401, 403):
            raise ClusterRefused(
                f"The kubeconfig may not {verb} the guard on {node} ({error.status} "
                f"{error.reason}): it must be the cluster owner's, who may make namespaces, "
                f"privileged pods and read their logs. Look for a leftover pod in {NAMESPACE}.",
                code="owner_rights",
                field="kubeconfig",
            ) from error
        raise DomainError(
            f"The pod that should {verb} the guard on {node} could not be run: {error.status} "
            f"{error.reason}. Look in namespace {NAMESPACE}, and try again.",
            code="guard_pod",
        ) from error
    except urllib3.exceptions.HTTPError as error:
        raise ClusterUnreachable(
            f"The cluster's API gave no answer while the guard on {node} was to be "
            f"{verb}ed: {error}. Try again; a pod may be left in namespace {NAMESPACE}."
        ) from error
    return _certificate(said, node=node, verb=verb, phase=phase)


def _words(verb: str, policy: Policy, fresh_key: bool) -> list[str]:
    if verb == "uninstall":
        return ["uninstall", "--installation", policy.installation]
    fresh = ["--fresh-key"] if fresh_key else []
    return [verb, "--policy", json.dumps(to_json(policy)), *fresh]


def _certificate(said: str, *, node: str, verb: str, phase: str) -> str:
    for line in said.splitlines():
        if line.startswith(INSTALL_FAILED):
            why = json.loads(line.removeprefix(INSTALL_FAILED))["error"]
            raise ClusterRefused(f"{node} refused: {why}", code="guard_refused")
        if line.startswith(INSTALLED):
            return str(json.loads(line.removeprefix(INSTALLED))["certificate"])
        if line.startswith(UNINSTALLED):
            return ""
    raise DomainError(
        f"The pod that should {verb} the guard on {node} ended ({phase}) without a word of the "
        f"guard. It said: {said[-300:] or 'nothing'}",
        code="guard_pod",
    )


def _await_end(core: k8s.CoreV1Api, name: str) -> str:
    give_up_at = time.monotonic() + WITHIN_S
    while True:
        pod: Any = core.read_namespaced_pod(name, NAMESPACE)
        phase = str(pod.status.phase)
        if phase in ("Succeeded", "Failed"):
            return phase
        if time.monotonic() > give_up_at:
            waiting = [
                f"{s.state.waiting.reason}: {s.state.waiting.message or ''}"
                for s in pod.status.container_statuses or []
                if s.state and s.state.waiting
            ]
            raise DomainError(
                f"Pod {NAMESPACE}/{name} is {phase} after {WITHIN_S:.0f} s "
                f"({'; '.join(waiting) or 'no reason given'}). Can the node pull the image?",
                code="guard_pod",
            )
        time.sleep(_POLL_S)


def _make_namespace(core: k8s.CoreV1Api) -> None:
    body: Any = {"metadata": {"name": NAMESPACE, "labels": _PRIVILEGED}}
    try:
        core.create_namespace(body)
    except k8s.ApiException as error:
        if error.status != 409:
            raise


def remove_namespace(api: k8s.ApiClient) -> None:
    """The last trace of guards in the cluster's API; waits until it is gone, so that guards can be
    installed again at once.

    Raises DomainError `guard_namespace`: it is still there.
    """
    core = k8s.CoreV1Api(api)
    give_up_at = time.monotonic() + WITHIN_S
    why = "it still exists"
    while time.monotonic() < give_up_at:
        try:
            core.delete_namespace(NAMESPACE)
        except k8s.ApiException as error:
            if error.status == 404:
                return
            why = f"{error.status} {error.reason}"
            # 409: it is being removed.
            if error.status in (401, 403):
                break
        except urllib3.exceptions.HTTPError as error:
            why = str(error)
        time.sleep(_POLL_S)
    raise DomainError(
        f"The guards are off, but namespace {NAMESPACE} could not be removed: {why}. Remove it: "
        f"kubectl delete namespace {NAMESPACE}.",
        code="guard_namespace",
    )


def _delete(core: k8s.CoreV1Api, name: str) -> None:
    give_up_at = time.monotonic() + 60
    while True:
        try:
            core.delete_namespaced_pod(name, NAMESPACE, grace_period_seconds=0)
        except k8s.ApiException as error:
            if error.status == 404:
                return
            raise
        if time.monotonic() > give_up_at:
            raise DomainError(
                f"Pod {NAMESPACE}/{name} does not go away; delete it by hand.", code="guard_pod"
            )
        time.sleep(_POLL_S)


def _pod(name: str, node: str, image: str, words: list[str]) -> Any:
    mounts = {"kubernetes": "/etc/kubernetes", "state": "/var/lib/belay-guard"}
    words = [*words, *(["--image", image] if words[0] == "install" else [])]
    return {
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "belay"}},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {
                    "name": "guard",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python3", "-m", "guard", *words],
                    "workingDir": "/opt/belay",
                    "env": [{"name": "PYTHONPATH", "value": "/opt/belay"}],
                    "securityContext": {"privileged": True, "runAsUser": 0},
                    "volumeMounts": [
                        {"name": key, "mountPath": path} for key, path in mounts.items()
                    ],
                }
            ],
            "volumes": [
                {
                    "name": key,
                    "hostPath": {
                        "path": path,
                        "type": "Directory" if key == "kubernetes" else "DirectoryOrCreate",
                    },
                }
                for key, path in mounts.items()
            ],
        },
    }
