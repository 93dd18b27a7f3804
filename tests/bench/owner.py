"""What a person would do by hand to objects: requests with the owner's account, and no more."""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
from typing import Any
from urllib.parse import urlsplit

import yaml

from practice.plan import Plan

Json = dict[str, Any]
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
TIMEOUT_S = 5.0


class Owner:
    """One HTTP client of one API server, past the range's proxy; every request a connection."""

    def __init__(self, plan: Plan) -> None:
        self._place = urlsplit(plan.control_plane_nodes[-1].api_server).netloc
        user = yaml.safe_load(plan.admin_kubeconfig.read_text())["users"][0]["user"]
        self._context = ssl.create_default_context(cafile=str(plan.ca_file))
        _load(self._context, user)

    def get(self, path: str) -> Json:
        return self.call("GET", path)

    def patch(self, path: str, body: Json, content_type: str = MERGE_PATCH) -> None:
        self.call("PATCH", path, body, content_type)

    def call(
        self, method: str, path: str, body: Json | None = None, content_type: str = JSON
    ) -> Json:
        """The object in the answer. AssertionError for any status but 2xx."""
        link = http.client.HTTPSConnection(self._place, timeout=TIMEOUT_S, context=self._context)
        try:
            payload = None if body is None else json.dumps(body).encode()
            link.request(method, path, payload, {"Content-Type": content_type})
            answer = link.getresponse()
            text = answer.read()
        finally:
            link.close()
        assert 200 <= answer.status < 300, f"{method} {path}: {answer.status} {text[:300]!r}"
        found: Json = json.loads(text)
        return found


def _load(context: ssl.SSLContext, user: Json) -> None:
    """The owner's certificate; the ssl module reads files only, and this one has no name."""
    pem = [base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key")]
    held = os.memfd_create("bench-owner", os.MFD_CLOEXEC)
    try:
        os.write(held, b"".join(pem))
        context.load_cert_chain(f"/proc/self/fd/{held}")
    finally:
        os.close(held)
