"""The Kubernetes API as the guard needs it: one request, one connection, in bounded time.

Nothing is resolved, discovered or cached. The address, its authority and the token came with the
order; whoever minted the token decided what it may do.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from guard.http import exchange
from guard.protocol import X509_V_FLAG_NO_CHECK_TIME

ANSWER_S = 2.0
"""One request, from connecting to the last byte of its answer."""
MAX_ANSWER_BYTES = 4 * 1024 * 1024
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"
JSON = "application/json"
FIELD_MANAGER = "belay-guard"

Json = dict[str, Any]


class Access(Protocol):
    """Where an API server is and how to be let in."""

    @property
    def server(self) -> str: ...
    @property
    def ca_pem(self) -> str: ...
    @property
    def token(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class ApiAnswer:
    status: int
    body: Json = field(default_factory=dict)
    """The decoded object; empty when the answer was none."""

    @property
    def message(self) -> str:
        """What the API server said, for people."""
        return str(self.body.get("message", ""))[:500]


class ObjectApi(Protocol):
    """Requests to an API server. Handed in like the node: a simulator has its own."""

    def call(
        self,
        access: Access,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        content_type: str = JSON,
        within_s: float = ANSWER_S,
    ) -> ApiAnswer:
        """One request. OSError when no whole answer came within `within_s` seconds; the server
        may have done what was asked all the same."""


class HttpsApi:
    """`ObjectApi` over real HTTPS."""

    def call(
        self,
        access: Access,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        content_type: str = JSON,
        within_s: float = ANSWER_S,
    ) -> ApiAnswer:
        until = time.monotonic() + within_s
        address = urlsplit(access.server)
        host, port = address.hostname or "", address.port or 443
        try:
            raw = socket.create_connection((host, port), timeout=within_s)
        except OSError as error:
            raise OSError(f"{address.netloc} cannot be reached: {error}") from error
        with raw:
            # A request right after a handshake would wait 40 ms for its acknowledgement.
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A server that drips bytes restarts every timeout of a socket; this ends it.
            ended = threading.Event()
            timer = threading.Timer(max(0.0, until - time.monotonic()), _hang_up, (raw, ended))
            timer.daemon = True
            timer.start()
            try:
                headers = {"Authorization": f"Bearer {access.token}", "Accept": JSON}
                payload = None
                if body is not None:
                    payload, headers["Content-Type"] = json.dumps(body).encode(), content_type
                # A copy of the descriptor for TLS: the timer's must stay valid for as long as it
                # may hang up.
                context = _tls(access.ca_pem)
                with context.wrap_socket(raw.dup(), server_hostname=host) as tls:
                    status, content = exchange(
                        tls, address.netloc, method, path,
                        headers=headers, body=payload, max_bytes=MAX_ANSWER_BYTES + 1,
                    )  # fmt: skip
                    return _read(status, content)
            except (OSError, ValueError) as error:
                if ended.is_set() or isinstance(error, TimeoutError):
                    raise TimeoutError(
                        f"{address.netloc} gave no whole answer within {within_s:g} s"
                    ) from error
                raise OSError(f"{address.netloc}: {type(error).__name__}: {error}") from error
            finally:
                timer.cancel()


def _read(status: int, content: bytes) -> ApiAnswer:
    """The whole answer. One that was cut off ends like any other: only its body shows it."""
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if isinstance(body, dict):
        return ApiAnswer(status=status, body=body)
    if 200 <= status < 300:
        raise OSError(f"HTTP {status} with {len(content)} bytes that are no whole object")
    text = content[:200].decode("utf-8", "replace")
    return ApiAnswer(status=status, body={"message": text})


def _hang_up(raw: socket.socket, ended: threading.Event) -> None:
    ended.set()
    with suppress(OSError):
        raw.shutdown(socket.SHUT_RDWR)


def _tls(ca_pem: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=ca_pem)
    except ssl.SSLError as error:
        raise OSError(f"the API server's authority is no certificate: {error}") from error
    # A wrong clock on the node must not stand between anybody and an undo.
    context.verify_flags |= X509_V_FLAG_NO_CHECK_TIME
    return context
