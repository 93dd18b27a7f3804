"""A Kubernetes API with real TLS and real rights: what a token may do follows from the roles that
were applied, as the cluster's own authoriser would say. Objects live in memory."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.object_api import _certificate

Object = dict[str, Any]
UID = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
OWNER = "owner-token"
VERSION = dict.fromkeys(
    ("buildDate", "compiler", "gitCommit", "gitTreeState", "goVersion", "platform"), "x"
) | {"gitVersion": "v1.36.3", "major": "1", "minor": "36"}


class RightsApi:
    """`close` ends it. The owner may do everything; anybody else what roles say."""

    def __init__(self, folder: Path, *, nodes: tuple[str, ...] = ("qa-1", "qa-2", "qa-3")) -> None:
        self.applied: dict[str, Object] = {}
        self.tokens: dict[str, str] = {}
        """Token → `namespace:account` of a ServiceAccount."""
        self.uid = UID
        self.nodes = nodes
        self.workers: tuple[str, ...] = ()
        self.pod_ips: list[str] = ["10.244.0.7"]
        self.refused: list[str] = []
        certificate, self.ca_pem = _certificate(folder)
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def may(
        self, token: str, verb: str, resource: str, namespace: str = "", name: str = ""
    ) -> bool:
        if token == OWNER:
            return True
        account = self.tokens.get(token)
        if account is None:
            return False
        for rule in self._rules(account, namespace):
            if (
                verb in rule["verbs"]
                and resource in rule.get("resources", [])
                and (name in rule.get("resourceNames", [name]))
            ):
                return True
        return False

    def may_get_path(self, token: str, path: str) -> bool:
        account = self.tokens.get(token)
        return token == OWNER or any(
            path in rule.get("nonResourceURLs", []) for rule in self._rules(account or "", "")
        )

    def _rules(self, account: str, namespace: str) -> list[Object]:
        found = []
        for item in self.applied.values():
            if item["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
                continue
            where = item["metadata"].get("namespace", "")
            if where not in ("", namespace):
                continue
            subjects = [f"{s['namespace']}:{s['name']}" for s in item["subjects"]]
            if account in subjects:
                kind = item["roleRef"]["kind"]
                found += self.applied[f"{kind}/{where}/{item['roleRef']['name']}"]["rules"]
        return found

    def answer(self, method: str, path: str, token: str, body: Object) -> tuple[int, Object]:
        parts = path.strip("/").split("/")
        if path.rstrip("/") == "/version":
            path = "/version"  # with its slash, `system:public-info-viewer` gives it to everybody
            allowed = self.may_get_path(token, path)
            return (200, VERSION) if allowed else (403, {})
        if parts[-1] == "selfsubjectaccessreviews":
            asked = body["spec"]["resourceAttributes"]
            verb, resource = asked["verb"], asked["resource"]
            allowed = self.may(token, verb, resource, asked["namespace"], asked["name"])
            return 201, {"status": {"allowed": allowed}}
        namespace, resource, name = _where(parts)
        if parts[-1] == "token":
            made = f"token-{len(self.tokens)}"
            self.tokens[made] = f"{namespace}:{name}"
            ends = {"token": made, "expirationTimestamp": "2027-11-23T00:00:00Z"}
            return (201, {"status": ends}) if token == OWNER else (403, {})
        verb = {"GET": "get" if name else "list", "PATCH": "patch"}[method]
        if not self.may(token, verb, resource, namespace, name):
            self.refused.append(f"{verb} {resource} {namespace}/{name}")
            return 403, {"message": f"{verb} {resource} is forbidden"}
        if method == "PATCH":
            self.applied[f"{body['kind']}/{namespace}/{name}"] = body
            return 200, body
        return self._read(resource, namespace, name)

    def _read(self, resource: str, namespace: str, name: str) -> tuple[int, Object]:
        if (resource, name) == ("namespaces", "kube-system"):
            return 200, {"metadata": {"name": name, "uid": self.uid}}
        if resource == "nodes":
            return 200, _list([self._node(n) for n in (*self.nodes, *self.workers)])
        if resource == "pods":
            pods = [
                {
                    "metadata": {"name": "p"},
                    "spec": {"containers": [{"name": "c"}]},
                    "status": {"podIP": ip},
                }
                for ip in self.pod_ips
            ]
            return 200, _list(pods)
        if resource == "services":
            spec = {"clusterIP": "10.96.0.1", "ports": []}
            return 200, _list([{"metadata": {"name": "kubernetes"}, "spec": spec}])
        kind = {"configmaps": "ConfigMap"}.get(resource, resource)
        found = self.applied.get(f"{kind}/{namespace}/{name}")
        return (200, found) if found else (404, {"message": "not found"})

    def _node(self, name: str) -> Object:
        plane = {} if name in self.workers else {"node-role.kubernetes.io/control-plane": ""}
        position = [*self.nodes, *self.workers].index(name) + 1
        address = {"type": "InternalIP", "address": f"198.51.100.{position}"}
        return {"metadata": {"name": name, "labels": plane}, "status": {"addresses": [address]}}


class _Handler(http.server.BaseHTTPRequestHandler):
    api: RightsApi

    def _do(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        status, said = self.api.answer(self.command, urlsplit(self.path).path, token, body)
        data = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = _do  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


def _where(parts: list[str]) -> tuple[str, str, str]:
    """Namespace, plural and name of a path's parts."""
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if rest[0] == "namespaces" and len(rest) > 2:
        return rest[1], rest[2], rest[3] if len(rest) > 3 else ""
    return "", rest[0], rest[1] if len(rest) > 1 else ""


def _list(items: list[Object]) -> Object:
    return {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": items}
