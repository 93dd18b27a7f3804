"""The cluster's objects through its owner's own kubeconfig, never through Belay."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
_KEPT = {
    "deployments": "/apis/apps/v1/deployments",
    "configmaps": "/api/v1/namespaces/shop/configmaps",
    "httpproxies": "/apis/projectcontour.io/v1/httpproxies",
    "nodes": "/api/v1/nodes",
}
"""Kinds that a fault may change."""
_ACCOUNTS = (
    "/api/v1/serviceaccounts",
    "/apis/rbac.authorization.k8s.io/v1/roles",
    "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
)
_PART = "belay/order"
_BY_A_PROBE = ("httpproxies", "belay", "belay-canary")
"""Changed all the time by the probe that asks whether route changes arrive."""


class Owner:
    """Reads with the owner's client certificate, each on a fresh connection."""

    def __init__(self, kubeconfig: Path) -> None:
        found = yaml.safe_load(kubeconfig.read_text())
        cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
        self._server = str(cluster["server"])
        self._tls = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        with tempfile.NamedTemporaryFile() as both:
            for name in ("client-certificate-data", "client-key-data"):
                both.write(base64.b64decode(user[name]) + b"\n")
            both.flush()
            self._tls.load_cert_chain(both.name)

    def items(self, path: str) -> list[Object]:
        """The items of a list. Raises OSError when the API gives no good answer."""
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._tls)
        )
        with opener.open(f"{self._server}{path}", timeout=5) as answer:
            return list(json.load(answer)["items"])

    def contents(self) -> dict[str, str]:
        """Kind, namespace and name → a hash of what somebody wanted it to be."""
        return {
            f"{kind} {item['metadata'].get('namespace', '')}/{_name(item)}": wanted_hash(item)
            for kind, path in _KEPT.items()
            for item in self.items(path)
            if (kind, item["metadata"].get("namespace", ""), _name(item)) != _BY_A_PROBE
        }

    def accounts(self) -> list[str]:
        """What was made for one run only, and should be gone with it."""
        return [
            f"{path.rpartition('/')[2]} {item['metadata']['name']}"
            for path in _ACCOUNTS
            for item in self.items(f"{path}?labelSelector={_PART.replace('/', '%2F')}")
        ]

    def unready(self) -> list[str]:
        """Nodes and pods that are not ready, and Deployments short of pods."""
        return unready_of(
            nodes=self.items("/api/v1/nodes"),
            pods=self.items("/api/v1/pods"),
            deployments=self.items("/apis/apps/v1/deployments"),
        )


def unready_of(
    *, nodes: Sequence[Object], pods: Sequence[Object], deployments: Sequence[Object]
) -> list[str]:
    """What is not ready among them, as sentences; a pod that has done its work is."""
    wrong = [f"node {_name(item)} is not ready" for item in nodes if not _is_ready(item)]
    wrong += [
        f"pod {_name(item)} is not ready"
        for item in pods
        if not _is_ready(item) and item["status"].get("phase") != "Succeeded"
    ]
    for item in deployments:
        there, wanted = item["status"].get("availableReplicas", 0), item["spec"]["replicas"]
        if there < wanted:
            wrong.append(f"deployment {_name(item)} has {there} of {wanted} pods")
    return wrong


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])


def wanted_hash(item: Object) -> str:
    """Of what a person wants, without what the cluster itself notes."""
    wanted: Object = {key: item[key] for key in ("spec", "data", "binaryData") if key in item}
    if "podCIDR" in wanted.get("spec", {}):
        spec = wanted["spec"]
        # The node controller taints by itself while a node does not answer.
        wanted = {"unschedulable": spec.get("unschedulable", False)}
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()


def _is_ready(item: Object) -> bool:
    conditions = {one["type"]: one["status"] for one in item["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"


TROUBLES = (OSError, urllib.error.URLError, ValueError, KeyError)
"""The API is away, or answers half."""
