"""Asking a cluster's Prometheus: one request, and an answer that can be relied on, or a reason."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from core import wire
from core.addresses import require_allowed
from gamedays.probes.base import Metrics, shortened
from gamedays.probes.http import tls_of

_MAX_ANSWER_BYTES = 2 * 1024 * 1024


class NoMetricsError(Exception):
    """Nothing can be said of what was asked about: the sentence says why."""


@dataclass(frozen=True, kw_only=True)
class MetricsAnswer:
    data: Mapping[str, Any]
    at: str
    """The server's own time (its Date header), for ages that no clock of ours falsifies."""
    latency_ms: float


def ask(
    metrics: Metrics | None, path: str, query: Mapping[str, str], *, timeout_s: float
) -> MetricsAnswer:
    """GET `path` of the HTTP API. Raises NoMetricsError for whatever is not a whole, good answer:
    a Prometheus that is away says nothing about what it watches."""
    if metrics is None:
        raise NoMetricsError("no Prometheus is named for this cluster")
    if metrics.problem:
        raise NoMetricsError(shortened(metrics.problem))
    headers = {"User-Agent": "belay-probe", "Accept": "application/json"}
    if metrics.token:
        headers["Authorization"] = f"Bearer {metrics.token}"
    url = f"{metrics.url.rstrip('/')}{path}?{urlencode(query)}"
    try:
        answer = wire.request(
            "GET",
            url,
            timeout_s=timeout_s,
            headers=headers,
            tls=tls_of(metrics.ca_pem) if url.startswith("https:") else None,
            check=require_allowed,
            max_bytes=_MAX_ANSWER_BYTES,
        )
    except (OSError, http.client.HTTPException, wire.AddressRefusedError) as error:
        raise NoMetricsError(shortened(f"Prometheus: {wire.reason_of(error)}")) from error
    if answer.truncated:
        raise NoMetricsError("Prometheus: the answer is too large; ask for fewer series")
    document = _document(answer)
    if answer.status != 200 or document.get("status") != "success":
        why = document.get("error") or f"status {answer.status}"
        raise NoMetricsError(shortened(f"Prometheus: {why}"))
    if document.get("warnings"):
        # Some of the stores behind it did not answer: what is missing could be the very thing.
        raise NoMetricsError(shortened(f"Prometheus warns: {document['warnings'][0]}"))
    if not isinstance(document.get("data"), dict):
        raise NoMetricsError("Prometheus: the answer holds no data")
    return MetricsAnswer(
        data=document["data"], at=answer.headers.get("date", ""), latency_ms=answer.latency_ms
    )


def _document(answer: wire.WireAnswer) -> dict[str, Any]:
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = None
    if isinstance(document, dict):
        return document
    raise NoMetricsError(
        f"Prometheus: status {answer.status} and no JSON; is this its address, and is a token "
        "needed?"
    )
