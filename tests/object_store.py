"""A cluster's objects, as an API server answers for them, with real conflicts. No socket.

Versions rise with every real write; a patch that names a version or a UID gets 409 when it is
another one; `dryRun` changes nothing; who is not the owner may do what roles bound to its account
say. A test plays the other people in the cluster by calling `edit`.
"""

from __future__ import annotations

import copy
import datetime as dt
import re
import threading
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

Object = dict[str, Any]
Query = dict[str, list[str]]
OWNER = "owner-token"
_PATH = re.compile(
    r"^/(?:api|apis/(?P<group>[^/]+))/v1(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[a-z]+))?$"
)
_VERBS = {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}


class ObjectStore:
    """Objects in memory. `answer` is one request."""

    def __init__(self) -> None:
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
        self.now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
        self.on_change: Callable[[str], None] = lambda _path: None
        """Told of the path of every object that was written or ended."""
        self._version = 100

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
            self.on_change(path)
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
        self.on_change(path)
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

    # -- requests ---------------------------------------------------------------------------------

    def answer(
        self, method: str, target: str, token: str, body: Any = None, content_type: str = ""
    ) -> tuple[int, Object]:
        """Status and body. `target` is the path with its query."""
        with self.lock:
            self.asked.append((method, target, token))
            for (refused, piece), status in self.refuse.items():
                if refused == method and piece in target:
                    return status, {"message": "refused by the test"}
            address = urlsplit(target)
            part, verb = _PATH.match(address.path), _VERBS[method]
            if part is None:
                return 404, {"message": f"no such path {address.path}"}
            may = self.allowed(token, verb, part)
            if may != 200:
                return may, {"message": f"may not {verb} {address.path}"}
            query = parse_qs(address.query)
            if method == "GET":
                return self._get(address.path, part, query)
            if method == "POST":
                return self._create(address.path, part, body)
            if method == "PATCH":
                return self._patch(address.path, body, query, strategic="strategic" in content_type)
            if address.path not in self.objects:
                return 404, {"message": f"{address.path} not found"}
            return self._end(address.path, body or {})

    def _get(self, path: str, part: re.Match[str], query: Query) -> tuple[int, Object]:
        if part["name"]:
            found = self.objects.get(path)
            return (200, found) if found else (404, {"message": f"{path} not found"})
        place = f"/namespaces/{part['namespace']}/" if part["namespace"] else "/"
        items = [
            item
            for key, item in sorted(self.objects.items())
            if f"/{part['plural']}/" in key and place in key and _selected(item, query)
        ]
        return 200, {"items": items}

    def _create(self, path: str, part: re.Match[str], body: Object) -> tuple[int, Object]:
        if part["plural"] == "selfsubjectaccessreviews":
            asked = body["spec"]["resourceAttributes"]
            allowed = (asked["verb"], asked["resource"]) not in self.denied
            return 201, {"status": {"allowed": allowed}}
        if part["sub"] == "token":
            token = f"token-{uuid.uuid4()}"
            self.tokens[token] = part["name"]
            granted = min(body["spec"]["expirationSeconds"], self.max_token_s)
            ends = (self.now() + dt.timedelta(seconds=granted)).isoformat()
            return 201, {
                "spec": {"expirationSeconds": granted},
                "status": {"token": token, "expirationTimestamp": ends},
            }
        if part["sub"] == "eviction":
            if self.budget_used_up:
                return 429, {"message": "Cannot evict pod: it would violate its budget."}
            return self._end(path.removesuffix("/eviction"), body["deleteOptions"])
        full = f"{path}/{body['metadata']['name']}"
        if full in self.objects:
            return 409, {"message": f"{full} already exists"}
        return 201, self.put(full, body)

    def _patch(
        self, path: str, body: Object, query: Query, *, strategic: bool
    ) -> tuple[int, Object]:
        found = self.objects.get(path)
        if found is None:
            return 404, {"message": f"{path} not found"}
        metadata = body.get("metadata", {})
        for name in ("resourceVersion", "uid"):
            if name in metadata and metadata[name] != found["metadata"][name]:
                return 409, {"message": f"the object has been modified ({name})"}
        if strategic and "projectcontour" in path:
            return 415, {"message": "strategic merge patch is not supported"}
        new = _merged(found, body, by_name=strategic)
        if "dryRun" in query:
            return 200, new
        return 200, self.write(path, new)

    def _end(self, path: str, options: Object) -> tuple[int, Object]:
        found = self.objects.get(path)
        if found is None:
            return 404, {"message": f"{path} not found"}
        for name, value in (options.get("preconditions") or {}).items():
            if found["metadata"][name] != value:
                return 409, {"message": f"Precondition failed: {name}"}
        if "dryRun" not in options:
            del self.objects[path]
            self.on_change(path)
        return 200, {}


def _selected(item: Object, query: Query) -> bool:
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
