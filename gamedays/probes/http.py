"""An HTTP request as a user would make it, through whatever stands before the service."""

from __future__ import annotations

import http.client
import time
from urllib.parse import urlsplit

from gamedays.probes.base import Attempt, ProbeSpec, Surroundings


def probe_http(spec: ProbeSpec, surroundings: Surroundings) -> Attempt:
    """GET `url` with header Host `host`; passes on `status` (default 200). Redirects fail."""
    url = urlsplit(str(spec.parameters["url"]))
    wanted = int(str(spec.parameters.get("status", 200)))
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname or "", url.port, timeout=spec.timeout_s)
    headers = {"Connection": "close", "User-Agent": "belay-probe"}
    if host := spec.parameters.get("host"):
        headers["Host"] = str(host)
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    started = time.monotonic()
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        response.read(65536)
    except (OSError, http.client.HTTPException) as error:
        return Attempt(passed=False, detail=f"{type(error).__name__}: {error}"[:120])
    finally:
        connection.close()
    passed = response.status == wanted
    return Attempt(
        passed=passed,
        latency_ms=(time.monotonic() - started) * 1000,
        detail="" if passed else f"status {response.status}, wanted {wanted}",
    )
