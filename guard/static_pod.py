"""The guard's own static-pod manifest, and why each right is in it (SECURITY.md has the table).

JSON is YAML, so the standard library can write what the kubelet reads.
"""

from __future__ import annotations

import hashlib
import json

from guard.policy import policy_json
from guard.protocol import Json, Policy

NAME = "belay-guard"
NAMESPACE = "kube-system"
FILE_NAME = f"{NAME}.yaml"
CODE_DIRECTORY = "/opt/belay"
IMAGE_VARIABLE = "BELAY_GUARD_IMAGE"
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_ADMIN")
_PRIORITY_NODE_CRITICAL = 2000001000


def render(policy: Policy, image: str) -> Json:
    """The static pod for this node. It holds no secret: key and policy are files on the host."""
    digest = hashlib.sha256(policy_json(policy).encode()).hexdigest()
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "labels": {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "belay"},
            # A changed policy must restart the guard: the kubelet compares the manifest only.
            "annotations": {"belay/policy-sha256": digest},
        },
        "spec": {
            "hostNetwork": True,
            "hostPID": True,
            "dnsPolicy": "Default",
            "priorityClassName": "system-node-critical",
            "priority": _PRIORITY_NODE_CRITICAL,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 30,
            "tolerations": [{"operator": "Exists"}],
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [_container(image)],
            "volumes": [
                _host("kubernetes", "/etc/kubernetes", "Directory"),
                _host("state", "/var/lib/belay-guard", "Directory"),
                {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            ],
        },
    }


def _container(image: str) -> Json:
    return {
        "name": "guard",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "guard", "run"],
        "workingDir": CODE_DIRECTORY,
        "env": [
            {"name": "PYTHONPATH", "value": CODE_DIRECTORY},
            {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
            {"name": IMAGE_VARIABLE, "value": image},
        ],
        "securityContext": {
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsUser": 0,
            "runAsGroup": 0,
            "capabilities": {"drop": ["ALL"], "add": list(CAPABILITIES)},
        },
        "resources": {
            "requests": {"cpu": "100m", "memory": "32Mi"},
            "limits": {"memory": "192Mi"},
        },
        "livenessProbe": {
            "exec": {"command": ["python3", "-S", "-m", "guard", "healthz"]},
            "initialDelaySeconds": 10,
            "periodSeconds": 20,
            "timeoutSeconds": 10,
            "failureThreshold": 3,
        },
        "volumeMounts": [
            {"name": "kubernetes", "mountPath": "/etc/kubernetes"},
            {"name": "state", "mountPath": "/var/lib/belay-guard"},
            {"name": "run", "mountPath": "/run/belay-guard"},
        ],
    }


def _host(name: str, path: str, kind: str) -> Json:
    return {"name": name, "hostPath": {"path": path, "type": kind}}


def manifest_text(policy: Policy, image: str) -> str:
    return json.dumps(render(policy, image), indent=2) + "\n"
