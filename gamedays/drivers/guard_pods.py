"""A short-lived privileged pod on one node, with the owner's credential: install or uninstall."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from kubernetes import client as k8s

from core.errors import ClusterRefused, DomainError
from guard.protocol import INSTALL_FAILED, INSTALLED, UNINSTALLED, to_json

if TYPE_CHECKING:
    from guard.protocol import Policy

NAMESPACE = "belay-guard"
WITHIN_S = 180.0
_POLL_S = 0.5
_PRIVILEGED = {"pod-security.kubernetes.io/enforce": "privileged"}


def run_on_node(api: k8s.ApiClient, *, node: str, image: str, verb: str, policy: Policy) -> str:
    """Run `python3 -m guard VERB` on a node; the guard's certificate (PEM) for `install`.

    The pod is deleted afterwards, whatever came of it.

    Raises:
        ClusterRefused: the guard's own refusal, in its words.
        DomainError: `guard_pod`: the pod did not come to an end, or said nothing.
    """
    core = k8s.CoreV1Api(api)
    _make_namespace(core)
    name = f"{verb}-{node}"[:63].rstrip("-.")
    _delete(core, name)
    core.create_namespaced_pod(NAMESPACE, _pod(name, node, image, _words(verb, policy)))
    try:
        phase = _await_end(core, name)
        said = core.read_namespaced_pod_log(name, NAMESPACE)
    except k8s.ApiException as error:
        raise DomainError(
            f"The pod that should {verb} the guard on {node} could not be watched: "
            f"{error.status} {error.reason}.",
            code="guard_pod",
        ) from error
    finally:
        _delete(core, name)
    return _certificate(said, node=node, verb=verb, phase=phase)


def _words(verb: str, policy: Policy) -> list[str]:
    if verb == "uninstall":
        return ["uninstall", "--installation", policy.installation]
    return [verb, "--policy", json.dumps(to_json(policy))]


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
            raise ClusterRefused(
                f"Namespace {NAMESPACE} could not be made ({error.status} {error.reason}). The "
                "kubeconfig must be the cluster owner's.",
                code="owner_rights",
            ) from error


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
