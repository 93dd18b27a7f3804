"""One HTTP/1.1 request per connection, read and answered by hand.

The standard library's server sets a timeout per read: a client that sends one byte a second holds
its thread for ever. Here one deadline covers the whole request, and sizes are bounded before
anything is kept.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from dataclasses import dataclass

from guard.protocol import MAX_BODY_BYTES, Code, Json
from guard.world import RefusedError

MAX_HEAD_BYTES = 8 * 1024
_VERB_PREFIX = "/v1/"
_REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 409: "Conflict"}


@dataclass(frozen=True, kw_only=True)
class Request:
    verb: str
    body: Json


def read_request(connection: ssl.SSLSocket, deadline: float) -> Request:
    """Read one request; `RefusedError` when it is not one, OSError when the peer went away.

    `deadline` is a point on `time.monotonic`, for all of the request.
    """
    data = b""
    while b"\r\n\r\n" not in data:
        if len(data) > MAX_HEAD_BYTES:
            raise RefusedError(Code.TOO_LARGE, f"headers exceed {MAX_HEAD_BYTES} bytes")
        data += _receive(connection, deadline)
    head, _, body = data.partition(b"\r\n\r\n")
    verb, length = _parse_head(head.decode("latin-1"))
    while len(body) < length:
        body += _receive(connection, deadline)
    if len(body) > length:
        raise RefusedError(Code.MALFORMED, "more bytes came than content-length says")
    return Request(verb=verb, body=_parse_body(body))


def _parse_head(head: str) -> tuple[str, int]:
    first, *lines = head.split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise RefusedError(Code.MALFORMED, "the request line is not HTTP/1.1")
    method, target, _ = parts
    if method != "POST" or not target.startswith(_VERB_PREFIX):
        raise RefusedError(Code.MALFORMED, f"{method[:16]} {target[:64]} is not POST /v1/<verb>")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or name != name.strip() or name in headers:
            raise RefusedError(Code.MALFORMED, f"header {line[:64]!r} is malformed or repeated")
        headers[name] = value.strip()
    length = headers.get("content-length", "")
    if "transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
        raise RefusedError(Code.MALFORMED, "content-length is needed, and no transfer-encoding")
    if len(length) > 9 or int(length) > MAX_BODY_BYTES:
        raise RefusedError(Code.TOO_LARGE, f"a body has at most {MAX_BODY_BYTES} bytes")
    return target[len(_VERB_PREFIX) :], int(length)


def _parse_body(body: bytes) -> Json:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError(Code.MALFORMED, f"the body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise RefusedError(Code.MALFORMED, "the body is not a JSON object")
    return data


def _receive(connection: ssl.SSLSocket, deadline: float) -> bytes:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the request did not come in time")
    connection.settimeout(left)
    data = connection.recv(16 * 1024)
    if not data:
        raise ConnectionError("the peer closed before its request was complete")
    return data


def send_answer(connection: ssl.SSLSocket, status: int, answer: Json, deadline: float) -> None:
    """Send one answer and nothing more; OSError when the peer does not take it in time."""
    body = json.dumps(answer, separators=(",", ":")).encode()
    head = (
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    connection.settimeout(max(deadline - time.monotonic(), 0.1))
    connection.sendall(head.encode("ascii") + body)


def hang_up(connection: socket.socket) -> None:
    """End a connection that another thread serves; never raises.

    Closing is left to that thread: a number that is closed here would be the next connection's
    while TLS still speaks on it over there.
    """
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def close(connection: socket.socket) -> None:
    """Close without waiting for the peer; never raises."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        connection.close()
