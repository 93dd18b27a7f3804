"""The edge of a cluster for tests of objects: an API server over real HTTPS, with real conflicts.

Versions rise with every real write; a patch that names a version or a UID gets 409 when it is
another one; `dryRun` changes nothing; who is not the owner may do what roles bound to its account
say. A test plays the other people in the cluster by calling `edit`.
"""

from __future__ import annotations

import copy
import datetime as dt
import http.server
import ipaddress
import json
import re
import ssl
import threading
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Object = dict[str, Any]
OWNER = "owner-token"
_PATH = re.compile(
    r"^/(?:api|apis/(?P<group>[^/]+))/v1(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[a-z]+))?$"
)


class ObjectApi:
    """Objects in memory behind HTTPS; `close` ends it."""

    def __init__(self, folder: Path) -> None:
        self.objects: dict[str, Object] = {}
        self.asked: list[tuple[str, str, str]] = []
        """Method, path with its query, and token of every request."""
        self.refuse: dict[tuple[str, str], int] = {}
        """(method, part of the path) → status, as long as it stands here."""
        self.denied: set[tuple[str, str]] = set()
        """(verb, resource) that a review of Belay's own rights answers with no."""
        self.tokens: dict[str, str] = {OWNER: ""}
        self.max_token_s = 10**9
        self.budget_used_up = False
        self.lock = threading.RLock()
        self._version = 100
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

    def put(self, path: str, body: Object) -> Object:
        """An object that is simply there, with a UID and a version."""
        with self.lock:
            found = copy.deepcopy(body)
            metadata = found.setdefault("metadata", {})
            metadata["name"] = path.rsplit("/", 1)[1]
            part = _PATH.match(path)
            assert part is not None, path
            if part["namespace"]:
                metadata["namespace"] = part["namespace"]
            metadata.setdefault("uid", str(uuid.uuid4()))
            metadata.setdefault("generation", 1)
            self._version += 1
            metadata["resourceVersion"] = str(self._version)
            self.objects[path] = found
            return found

    def edit(self, path: str, change: Object) -> Object:
        """Somebody else writes: a merge patch without conditions."""
        with self.lock:
            return self.write(path, _merged(self.objects[path], change))

    def write(self, path: str, new: Object) -> Object:
        """Store it, under a new version if anything in it changed."""
        old = self.objects.get(path)
        if old is not None and _without_version(old) == _without_version(new):
            return old
        self._version += 1
        new["metadata"]["resourceVersion"] = str(self._version)
        if old is not None and old.get("spec") != new.get("spec"):
            new["metadata"]["generation"] += 1
        self.objects[path] = new
        return new

    def allowed(self, token: str, verb: str, part: re.Match[str]) -> int:
        """200, 401 for a token that is not known, 403 for a right that is not there."""
        if token == OWNER:
            return 200
        account = self.tokens.get(token, "")
        if f"/api/v1/namespaces/belay-runs/serviceaccounts/{account}" not in self.objects:
            return 401
        namespace = part["namespace"] or ""
        resource = part["plural"] + (f"/{part['sub']}" if part["sub"] else "")
        for path, binding in self.objects.items():
            plural = "rolebindings" if namespace else "clusterrolebindings"
            inside = f"/namespaces/{namespace}/" in path if namespace else True
            if f"/{plural}/" not in path or not inside:
                continue
            if all(subject["name"] != account for subject in binding["subjects"]):
                continue
            role = path.replace("bindings/", "s/").rsplit("/", 1)[0]
            rules = self.objects.get(f"{role}/{binding['roleRef']['name']}", {}).get("rules", [])
            for rule in rules:
                if (
                    (part["group"] or "") in rule["apiGroups"]
                    and resource in rule["resources"]
                    and verb in rule["verbs"]
                    and part["name"] in rule["resourceNames"]
                ):
                    return 200
        return 403


class _Handler(http.server.BaseHTTPRequestHandler):
    api: ObjectApi

    def do_GET(self) -> None:
        self._serve("get")

    def do_POST(self) -> None:
        self._serve("create")

    def do_PATCH(self) -> None:
        self._serve("patch")

    def do_DELETE(self) -> None:
        self._serve("delete")

    def _serve(self, verb: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"null")
        address = urlsplit(self.path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        api = self.api
        with api.lock:
            api.asked.append((self.command, self.path, token))
            for (method, piece), status in api.refuse.items():
                if method == self.command and piece in self.path:
                    self._answer(status, {"message": "refused by the test"})
                    return
            part = _PATH.match(address.path)
            if part is None:
                self._answer(404, {"message": f"no such path {address.path}"})
                return
            may = api.allowed(token, verb, part)
            if may != 200:
                self._answer(may, {"message": f"may not {verb} {address.path}"})
                return
            query = parse_qs(address.query)
            status, answer = getattr(self, f"_{verb}")(address.path, part, body, query)
        self._answer(status, answer)

    def _get(
        self, path: str, part: re.Match[str], _body: Any, query: dict[str, list[str]]
    ) -> tuple[int, Object]:
        if part["name"]:
            found = self.api.objects.get(path)
            return (200, found) if found else (404, {"message": f"{path} not found"})
        place = f"/namespaces/{part['namespace']}/" if part["namespace"] else "/"
        items = [
            item
            for key, item in sorted(self.api.objects.items())
            if f"/{part['plural']}/" in key and place in key and _selected(item, query)
        ]
        return 200, {"items": items}

    def _create(
        self, path: str, part: re.Match[str], body: Object, query: dict[str, list[str]]
    ) -> tuple[int, Object]:
        if part["plural"] == "selfsubjectaccessreviews":
            asked = body["spec"]["resourceAttributes"]
            allowed = (asked["verb"], asked["resource"]) not in self.api.denied
            return 201, {"status": {"allowed": allowed}}
        if part["sub"] == "token":
            token = f"token-{uuid.uuid4()}"
            self.api.tokens[token] = part["name"]
            granted = min(body["spec"]["expirationSeconds"], self.api.max_token_s)
            ends = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=granted)).isoformat()
            return 201, {
                "spec": {"expirationSeconds": granted},
                "status": {"token": token, "expirationTimestamp": ends},
            }
        if part["sub"] == "eviction":
            if self.api.budget_used_up:
                return 429, {"message": "Cannot evict pod: it would violate its budget."}
            return self._end(path.removesuffix("/eviction"), body["deleteOptions"])
        full = f"{path}/{body['metadata']['name']}"
        if full in self.api.objects:
            return 409, {"message": f"{full} already exists"}
        return 201, self.api.put(full, body)

    def _patch(
        self, path: str, part: re.Match[str], body: Object, query: dict[str, list[str]]
    ) -> tuple[int, Object]:
        found = self.api.objects.get(path)
        if found is None:
            return 404, {"message": f"{path} not found"}
        metadata = body.get("metadata", {})
        for name in ("resourceVersion", "uid"):
            if name in metadata and metadata[name] != found["metadata"][name]:
                return 409, {"message": f"the object has been modified ({name})"}
        strategic = "strategic" in self.headers["Content-Type"]
        if strategic and "projectcontour" in path:
            return 415, {"message": "strategic merge patch is not supported"}
        new = _merged(found, body, by_name=strategic)
        if "dryRun" in query:
            return 200, new
        return 200, self.api.write(path, new)

    def _delete(
        self, path: str, part: re.Match[str], body: Object | None, query: dict[str, list[str]]
    ) -> tuple[int, Object]:
        if path not in self.api.objects:
            return 404, {"message": f"{path} not found"}
        return self._end(path, body or {})

    def _end(self, path: str, options: Object) -> tuple[int, Object]:
        found = self.api.objects.get(path)
        if found is None:
            return 404, {"message": f"{path} not found"}
        for name, value in (options.get("preconditions") or {}).items():
            if found["metadata"][name] != value:
                return 409, {"message": f"Precondition failed: {name}"}
        if "dryRun" not in options:
            del self.api.objects[path]
        return 200, {}

    def _answer(self, status: int, body: Object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


def _selected(item: Object, query: dict[str, list[str]]) -> bool:
    labels = item["metadata"].get("labels") or {}
    for pair in filter(None, ",".join(query.get("labelSelector", [])).split(",")):
        key, _, value = pair.partition("=")
        if labels.get(key) != value:
            return False
    node = ",".join(query.get("fieldSelector", [])).removeprefix("spec.nodeName=")
    return not node or item["spec"].get("nodeName") == node


def _merged(old: Any, change: Any, *, by_name: bool = False) -> Any:
    """RFC 7386; with `by_name`, lists of named things are merged by name as Deployments have it."""
    if by_name and isinstance(change, list) and isinstance(old, list):
        listed: list[Any] = copy.deepcopy(old)
        for item in change:
            for index, there in enumerate(listed):
                if there.get("name") == item.get("name"):
                    listed[index] = _merged(there, item, by_name=True)
                    break
            else:
                listed.append(item)
        return listed
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    new = copy.deepcopy(old) if isinstance(old, dict) else {}
    for key, value in change.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = _merged(new.get(key), value, by_name=by_name)
    return new


def _without_version(found: Object) -> Object:
    metadata = {k: v for k, v in found["metadata"].items() if k != "resourceVersion"}
    return found | {"metadata": metadata}


def _certificate(folder: Path) -> tuple[Path, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "api.pem"
    path.write_bytes(private + pem)
    return path, pem.decode()
