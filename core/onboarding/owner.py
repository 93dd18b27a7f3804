"""The owner's cluster through the owner's kubeconfig: looking, applying, and a bound token.

This runs on the owner's machine, with the owner's own rights: an `exec` plugin of that kubeconfig
may run here, because it is the owner's. What comes out for Belay is plain data.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client as k8s
from kubernetes import config as k8s_config
from urllib3.exceptions import HTTPError

from core import kube
from core.errors import ClusterRefused, ClusterUnreachable
from core.onboarding.objects import ACCOUNT, NAMESPACE, Object

FIELD_MANAGER = "belay-onboard"
_PLURALS = {
    "Namespace": "namespaces",
    "ConfigMap": "configmaps",
    "ServiceAccount": "serviceaccounts",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}


_ADVICE = {
    401: "Log in again, as kubectl asks you to.",
    403: "You need the rights of a cluster administrator.",
    409: "Somebody else manages it with other values: settle that, then run this again.",
}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The cluster as its owner sees it."""

    uid: uuid.UUID
    version: str
    server: str
    nodes: list[str]
    control_plane: list[str]


class OwnersCluster:
    """One cluster, with the rights of whoever runs the command."""

    def __init__(self, api: k8s.ApiClient) -> None:
        self._api = api

    @classmethod
    def from_kubeconfig(cls, path: Path, context: str | None) -> OwnersCluster:
        """The client that kubectl would use, `exec` plugins and files included.

        Raises:
            ClusterRefused: `kubeconfig_malformed`.
        """
        try:
            make: Callable[..., k8s.ApiClient] = k8s_config.new_client_from_config
            api = make(config_file=str(path), context=context, persist_config=False)
        except (k8s_config.ConfigException, OSError, ValueError) as error:
            raise ClusterRefused(
                f"{path} cannot be used: {error}. Give the file, and the context, that kubectl "
                "works with.",
                code="kubeconfig_malformed",
            ) from error
        return cls(kube.bounded(api))

    @property
    def server(self) -> str:
        return str(self._api.configuration.host)

    def look(self) -> Facts:
        kube_system = self._ask("GET", "/api/v1/namespaces/kube-system")
        nodes = self._ask("GET", "/api/v1/nodes")["items"]
        names = [node["metadata"]["name"] for node in nodes]
        return Facts(
            uid=uuid.UUID(kube_system["metadata"]["uid"]),
            version=self._ask("GET", "/version")["gitVersion"],
            server=self.server,
            nodes=names,
            control_plane=[
                node["metadata"]["name"]
                for node in nodes
                if "node-role.kubernetes.io/control-plane" in (node["metadata"].get("labels") or {})
            ],
        )

    def apply(self, item: Object) -> None:
        """Server-side apply, as our own field manager: what others set is left alone."""
        path = f"{path_of(item)}?fieldManager={FIELD_MANAGER}&force=false"
        self._ask("PATCH", path, body=item, content_type="application/apply-patch+yaml")

    def token(self, days: int) -> tuple[str, str]:
        """A token bound to the account, and when it ends (RFC 3339): it dies with the account.
        The cluster may give a shorter life than was asked for."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": days * 86_400},
        }
        path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}/token"
        status = self._ask("POST", path, body=body)["status"]
        return status["token"], status["expirationTimestamp"]

    def authority_pem(self) -> str:
        """The CA that Belay has to trust: of the kubeconfig, else the cluster's own."""
        file = self._api.configuration.ssl_ca_cert
        if file:
            return Path(file).read_text(encoding="ascii")
        path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/kube-root-ca.crt"
        return str(self._ask("GET", path)["data"]["ca.crt"])

    def _ask(
        self,
        method: str,
        path: str,
        *,
        body: object | None = None,
        content_type: str = "application/json",
    ) -> Any:
        try:
            request = self._api.param_serialize(
                method,
                path,
                header_params={"Accept": "application/json", "Content-Type": content_type},
                body=body,
                auth_settings=["BearerToken"],
            )
            answer: Any = self._api.call_api(*request)
            content = answer.read()
        except (HTTPError, OSError) as error:
            raise ClusterUnreachable(
                f"{self.server} gave no answer ({type(error).__name__}). Does kubectl reach it "
                "from here with this kubeconfig?"
            ) from error
        if answer.status >= 400:
            raise ClusterRefused(
                f"{method} {path.partition('?')[0]}: the cluster answered {answer.status}"
                f"{_message(content)}. {_ADVICE.get(answer.status, 'Look at the object there.')}",
                code="owner_rights" if answer.status in (401, 403) else "onboarding_failed",
            )
        return json.loads(content)


def path_of(item: Object) -> str:
    """The API's path of an object; `ValueError` for a kind that is none of ours."""
    plural = _PLURALS.get(item["kind"])
    if plural is None:
        raise ValueError(f"onboarding makes no {item['kind']}")
    group = item["apiVersion"]
    root = f"/api/{group}" if "/" not in group else f"/apis/{group}"
    namespace = item["metadata"].get("namespace")
    middle = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{middle}/{plural}/{item['metadata']['name']}"


def kubeconfig_for_belay(*, name: str, server: str, ca_pem: str, token: str) -> Object:
    """Plain data: nothing in it runs a program, reads a file or weakens TLS."""
    authority = base64.b64encode(ca_pem.encode("ascii")).decode("ascii")
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": server, "certificate-authority-data": authority}}
        ],
        "users": [{"name": ACCOUNT, "user": {"token": token}}],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": ACCOUNT, "namespace": NAMESPACE}}
        ],
        "current-context": name,
    }


def _message(content: bytes) -> str:
    try:
        said = json.loads(content).get("message", "")
    except (ValueError, AttributeError):
        return ""
    return f" ({said})" if said else ""
