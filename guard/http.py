"""One HTTP exchange on a connection that is open already.

By hand, because the standard library's client brings the parser of e-mails with it, an eighth of
the memory that a guard may take. HTTP/1.0, because then no server chunks its answer or keeps the
connection: the answer ends where the connection does.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

MAX_HEAD_BYTES = 64 * 1024
_CHUNK = 64 * 1024


def exchange(
    connection: socket.socket,
    host: str,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    max_bytes: int,
) -> tuple[int, bytes]:
    """Send one request; the answer's status and at most `max_bytes` of its body.

    Raises:
        OSError: the peer left or was too slow (the connection's own timeout), or it answered
            less than it announced.
        ValueError: what it answered is no HTTP.
    """
    fields = {"Host": host, **(headers or {})}
    if body is not None:
        fields["Content-Length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.0", *(f"{name}: {text}" for name, text in fields.items())]
    head = "\r\n".join(lines)
    if head.count("\r\n") != len(lines) - 1 or not head.isascii():
        raise ValueError(f"no header of a request may hold a line break: {method} {path[:200]}")
    connection.sendall(head.encode() + b"\r\n\r\n" + (body or b""))
    return _answer(connection, max_bytes)


def _answer(connection: socket.socket, max_bytes: int) -> tuple[int, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        if len(data) > MAX_HEAD_BYTES:
            raise ValueError(f"the answer's headers exceed {MAX_HEAD_BYTES} bytes")
        more = connection.recv(_CHUNK)
        if not more and not data:
            raise ConnectionError("the connection ended before an answer came")
        # Cut off within its headers: an answer without a body, and the reader of that judges.
        data += more or b"\r\n\r\n"
    head, _, data = data.partition(b"\r\n\r\n")
    status, length = _parsed(head.decode("latin-1"))
    wanted = max_bytes if length is None else min(length, max_bytes)
    parts, got = [data], len(data)
    while got < wanted:
        more = connection.recv(_CHUNK)
        if not more:
            break
        parts.append(more)
        got += len(more)
    if length is not None and got < wanted:
        raise ConnectionError(f"the answer ended after {got} of {length} bytes")
    return status, b"".join(parts)[:wanted]


def _parsed(head: str) -> tuple[int, int | None]:
    """Status, and the length of the body where it is told."""
    first, *lines = head.split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():
        raise ValueError(f"no HTTP status line: {first[:80]!r}")
    length = None
    for line in lines:
        name, _, text = line.partition(":")
        if name.strip().lower() == "content-length" and text.strip().isdecimal():
            length = int(text)
        elif name.strip().lower() == "transfer-encoding":
            raise ValueError(f"an answer in pieces ({text.strip()}), to a request of HTTP/1.0")
    return int(words[1]), length
