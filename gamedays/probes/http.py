"""An HTTP request as a user would make it, through whatever stands before the service."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from core import wire
from core.addresses import require_allowed
from core.fields import Field, is_host
from gamedays.probes.base import Attempt, Kind, ProbeSpec, Surroundings, no_answer, shortened

CA = Field(
    name="ca_pem",
    label="CA certificate",
    kind="pem",
    required=False,
    longest=20_000,
    help="Only where the certificate is of an authority of your own. PEM.",
)


def probe_http(spec: ProbeSpec, surroundings: Surroundings) -> Attempt:
    """GET `url` with header Host `host`; passes on `status` (default 200) and, if asked for, with
    `contains` in the first 64 KiB. A redirect is an answer like any other, and not followed."""
    parameters = spec.parameters
    url = str(parameters["url"])
    wanted = int(str(parameters.get("status") or 200))
    headers = {"User-Agent": "belay-probe"}
    host = str(parameters.get("host") or "")
    if host:
        headers["Host"] = host
    try:
        answer = wire.request(
            "GET",
            url,
            timeout_s=spec.timeout_s,
            headers=headers,
            tls=tls_of(str(parameters.get("ca_pem") or "")) if url.startswith("https:") else None,
            server_name=urlsplit(f"//{host}").hostname or "",
            check=require_allowed,
        )
    except (OSError, http.client.HTTPException, wire.AddressRefusedError) as error:
        return no_answer(error, urlsplit(url).netloc)
    detail = "" if answer.status == wanted else f"status {answer.status}, wanted {wanted}"
    text = str(parameters.get("contains") or "")
    if not detail and text and text.encode() not in answer.body:
        detail = shortened(f"the answer does not contain {text!r}")
    return Attempt(
        passed=not detail,
        latency_ms=answer.latency_ms,
        detail=detail,
        seen=f"Status {answer.status}, {len(answer.body)} bytes"
        + (" and more" if answer.truncated else ""),
    )


@lru_cache(maxsize=64)
def tls_of(ca_pem: str) -> ssl.SSLContext:
    """Trust in that CA alone, or in the authorities that this machine trusts."""
    return ssl.create_default_context(cadata=ca_pem or None)


def _require_host(text: str) -> None:
    if not is_host(text.rpartition(":")[0] if text.rpartition(":")[2].isdecimal() else text):
        raise ValueError(f"{text!r} is no name of a host, with or without a port.")


def _in_words(parameters: Mapping[str, object]) -> str:
    host = f" for {parameters['host']}" if parameters.get("host") else ""
    wanted = f"answers {parameters.get('status') or 200}"
    if text := parameters.get("contains"):
        wanted += f" with “{text}”"
    return f"{parameters.get('url')}{host} {wanted}"


HTTP = Kind(
    prober=probe_http,
    summary="Asks for a page as a user would; passes on the status that you name.",
    in_words=_in_words,
    icon="world",
    fields=(
        Field(
            name="url",
            label="Address",
            kind="url",
            placeholder="https://shop.example/health",
            help="Fetched with GET; redirects are not followed.",
        ),
        Field(
            name="host",
            label="Host header",
            required=False,
            check=_require_host,
            help="Where the route is chosen by a name that the address does not carry.",
        ),
        Field(
            name="status",
            label="Expected status",
            kind="integer",
            default="200",
            minimum=100,
            maximum=599,
        ),
        Field(
            name="contains",
            label="Answer contains",
            required=False,
            longest=200,
            help="A text in the first 64 KiB of the answer.",
        ),
        CA,
    ),
)
