"""One HTTP request on a connection of its own, with one deadline for all of it.

The standard library bounds each read, not their sum: a server that sends one byte a second holds
a caller for as long as it likes. Here resolving, connecting, TLS, sending and the whole answer
share one deadline. A name is resolved once and the connection goes to that very address, so that
what was checked is what is spoken to; redirects are never followed, proxies never used.
"""

from __future__ import annotations

import errno
import http.client
import io
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

Check = Callable[[str], None]
"""Raises `AddressRefusedError` for an IP address that must not be spoken to."""
_NOT_THEIRS = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EADDRNOTAVAIL,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.EAFNOSUPPORT,
        errno.EACCES,
        errno.EPERM,
    }
)

_IN_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "no whole answer in time"),
    (ConnectionRefusedError, "refused the connection"),
    (ConnectionResetError, "closed the connection"),
    (http.client.RemoteDisconnected, "closed the connection"),
    (ssl.SSLEOFError, "closed the connection"),
)


class AddressRefusedError(Exception):
    """The address is one that this caller must not speak to; nothing was sent."""


class NameLookupTimeoutError(TimeoutError):
    """The resolver did not answer in time: nothing is known of the server."""


@dataclass(frozen=True, kw_only=True)
class WireAnswer:
    """A whole answer; `latency_ms` counts from before the name was resolved."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    truncated: bool
    """There was more than `max_bytes`; the rest was not read."""
    latency_ms: float


class Deadline:
    """A moment on the monotonic clock, `seconds` from now."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds, more than 0. Raises TimeoutError when there are none."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline has passed")
        return left


def is_our_failure(error: Exception) -> bool:
    """Whether the failure says something about this machine and nothing about the server: no
    resolver, no route, no free descriptor, a packet filter of our own."""
    if isinstance(error, NameLookupTimeoutError | AddressRefusedError):
        return True
    if isinstance(error, socket.gaierror):
        return error.errno != socket.EAI_NONAME
    if isinstance(error, ssl.SSLError):
        return False  # its numbers are OpenSSL's, not the system's
    return isinstance(error, OSError) and error.errno in _NOT_THEIRS


def reason_of(error: Exception) -> str:
    """A failure in a few plain words, for people; never what was sent."""
    if isinstance(error, NameLookupTimeoutError | AddressRefusedError):
        return str(error)
    for kind, words in _IN_WORDS:
        if isinstance(error, kind):
            return words
    if isinstance(error, socket.gaierror):
        return "the name has no address" if error.errno == socket.EAI_NONAME else "no resolver"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection: {error.reason or 'handshake failed'}"
    return (isinstance(error, OSError) and error.strerror) or "no proper HTTP answer"


def connect(
    host: str, port: int, *, deadline: Deadline, check: Check | None = None
) -> socket.socket:
    """A fresh TCP connection to the first address of `host` that accepts one.

    Raises:
        AddressRefusedError: `check` refused one of the addresses; none was tried.
        OSError: no address accepted in time; the most telling error of them.
    """
    addresses = _resolve(host, port, deadline)
    if check is not None:
        for _family, address in addresses:
            check(str(address[0]))
    errors: list[OSError] = []
    for tried, (family, address) in enumerate(addresses):
        try:
            return _connect_one(family, address, deadline.left() / (len(addresses) - tried))
        except OSError as error:
            errors.append(error)
    raise next((error for error in errors if not is_our_failure(error)), errors[0])


def request(
    method: str,
    url: str,
    *,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    tls: ssl.SSLContext | None = None,
    server_name: str = "",
    check: Check | None = None,
    max_bytes: int = 64 * 1024,
) -> WireAnswer:
    """Ask once and close. `timeout_s` bounds everything together; `server_name` is whom an https
    server has to prove to be, where that is not the host of `url`.

    Raises:
        AddressRefusedError: as `connect`.
        OSError, http.client.HTTPException: no whole answer in time; `is_our_failure` tells
            whether it was for a reason of ours.
    """
    deadline, started = Deadline(timeout_s), time.monotonic()
    parts = urlsplit(url)
    host, port = endpoint_of(parts)
    raw = connect(host, port, deadline=deadline, check=check)
    try:
        if parts.scheme == "https":
            raw.settimeout(deadline.left())
            context = tls or ssl.create_default_context()
            raw = context.wrap_socket(raw, server_hostname=server_name or host)
        connection = http.client.HTTPConnection(host, port)
        connection.sock = cast("socket.socket", _BoundedSocket(raw, deadline))
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(
            method,
            path,
            body=body,
            headers={
                "Host": parts.netloc.rpartition("@")[2],
                "Connection": "close",
                **(headers or {}),
            },
        )
        response = connection.getresponse()
        content = response.read(max_bytes)
        truncated = len(content) == max_bytes and bool(response.read(1))
        return WireAnswer(
            status=response.status,
            headers={name.lower(): value for name, value in response.getheaders()},
            body=content,
            truncated=truncated,
            latency_ms=(time.monotonic() - started) * 1000,
        )
    finally:
        raw.close()


def endpoint_of(parts: SplitResult) -> tuple[str, int]:
    """Host and port of an http or https address."""
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _connect_one(family: int, address: Any, timeout_s: float) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        # A request right after a handshake would wait 40 ms for its acknowledgement, and every
        # latency that a probe measures would tell of that.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def _resolve(host: str, port: int, deadline: Deadline) -> list[tuple[int, Any]]:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return _look_up(host, port, deadline)
    family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
    return [(family, (str(ip), port))]


def _look_up(host: str, port: int, deadline: Deadline) -> list[tuple[int, Any]]:
    """The resolver of the C library knows no deadline: it is asked in a thread that may be left
    behind. It ends by itself when the resolver gives up."""
    answers: queue.SimpleQueue[list[tuple[int, Any]] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([(family, address) for family, _t, _p, _c, address in found])
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.left())
    except queue.Empty:
        raise NameLookupTimeoutError(f"the name {host} was not resolved in time") from None
    if isinstance(answer, UnicodeError):
        raise socket.gaierror(socket.EAI_NONAME, f"{host!r} is no name")
    if isinstance(answer, OSError):
        raise answer
    return answer


class _BoundedSocket:
    """What `http.client` needs of a socket, with every read bounded by what is left in all."""

    def __init__(self, raw: socket.socket, deadline: Deadline) -> None:
        self._raw = raw
        self._deadline = deadline

    def sendall(self, data: bytes) -> None:
        self._raw.settimeout(self._deadline.left())
        self._raw.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReads(self._raw, self._deadline))

    def close(self) -> None:
        """`request` closes the socket: the answer's body is read after the headers' owner has
        let go of it."""


class _BoundedReads(io.RawIOBase):
    def __init__(self, raw: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._raw = raw
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._raw.settimeout(self._deadline.left())
        return self._raw.recv_into(buffer)
