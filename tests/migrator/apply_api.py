"""The HTTPS API of `tests.object_api`, with server-side apply: field managers and conflicts."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from migrator.runners.manifests import nested, settings, value_at
from tests.object_api import ObjectApi
from tests.object_store import Object, _merged


class ApplyApi(ObjectApi):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.owners: dict[str, dict[tuple[str, ...], str]] = {}
        """Path of an object → field → who set it last by applying."""
        self.denied_paths: set[tuple[str, str]] = set()

    def owned(self, path: str, document: Object, manager: str) -> None:
        """Somebody else applied it."""
        self.put(path, document)
        self.owners[path] = dict.fromkeys(settings(document), manager)

    def answer(
        self, method: str, target: str, token: str, body: Any = None, content_type: str = ""
    ) -> tuple[int, Object]:
        query = parse_qs(urlsplit(target).query)
        path = urlsplit(target).path
        with self.lock:
            if method == "POST" and "dryRun" in query:
                made = copy.deepcopy(body)
                made["metadata"] |= {"uid": "dry", "resourceVersion": "0", "generation": 1}
                taken = f"{path}/{body['metadata']['name']}" in self.objects
                return (409, {"message": "already exists"}) if taken else (201, made)
            if method == "PATCH" and content_type.startswith("application/apply-patch"):
                self.asked.append((method, target, token))
                return self._apply(path, body, query)
            return super().answer(method, target, token, body, content_type)

    def _apply(self, path: str, body: Object, query: dict[str, list[str]]) -> tuple[int, Object]:
        found = self.objects[path]
        for name in ("resourceVersion", "uid"):
            if name in body["metadata"] and body["metadata"][name] != found["metadata"][name]:
                return 409, {"message": f"the object has been modified ({name})"}
        [manager], force = query["fieldManager"], query.get("force") == ["true"]
        owners = self.owners.setdefault(path, {})
        wanted = {
            place: value
            for place, value in settings(body).items()
            if place[-1] not in ("uid", "resourceVersion")
        }
        foreign = [
            ".".join(place)
            for place, value in wanted.items()
            if owners.get(place, manager) != manager and value_at(found, place)[1] != value
        ]
        if foreign and not force:
            return 409, {"message": f"Apply failed with conflict: {', '.join(foreign)}"}
        change = {key: value for key, value in body.items() if key != "metadata"}
        meta = {
            key: value
            for key, value in body["metadata"].items()
            if key not in ("uid", "resourceVersion")
        }
        new = _merged(found, {**change, "metadata": meta})
        for place in [p for p, who in owners.items() if who == manager and p not in wanted]:
            new = _merged(new, nested({place: None}))
        if "dryRun" in query:
            return 200, new
        self.owners[path] = {p: w for p, w in owners.items() if w != manager or p in wanted}
        self.owners[path] |= dict.fromkeys(wanted, manager)
        return 200, self.write(path, new)
