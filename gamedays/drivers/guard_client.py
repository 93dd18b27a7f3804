"""Belay's side of the wire to one guard.

Every call is a connection of its own with one deadline over all of it, so that a guard, a node or
a network that stops in the middle costs the caller no more than that.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from core.crypto import decrypt
from guard.protocol import (
    LEASE_S,
    Armed,
    ArmRequest,
    Code,
    Credential,
    Fault,
    Hello,
    InjectRequest,
    MalformedError,
    NodeStatus,
    OrderReport,
    Refusal,
    RenewRequest,
    UndoRequest,
    compact,
    from_json,
    to_json,
)

if TYPE_CHECKING:
    from gamedays.models import Guard

T = TypeVar("T")
TIMEOUT_S = 2.0
INJECT_TIMEOUT_S = 5.0
"""A guard waits up to 2.5 s for the bite before it answers `inject`."""
READY_S = 3.0
"""How long a connection that was opened ahead is used. The guard closes it after 5 s."""
_MAX_ANSWER_BYTES = 4 * 1024 * 1024


class GuardError(Exception):
    """The call did not lead to what was asked for."""


class GuardUnreachable(GuardError):
    """No answer: what the guard did is unknown."""


class GuardRefused(GuardError):
    """The guard said no, and nothing was done."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class GuardClient:
    """One guard. It remembers the session and counts the sequence of its own requests."""

    def __init__(
        self,
        *,
        node: str,
        address: str,
        port: int,
        pin_pem: str,
        certificate_pem: str,
        key_pem: str,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._node = node
        self._place = (address, port)
        self._pin = ssl.PEM_cert_to_DER_cert(pin_pem)
        self._context = _context(certificate_pem, key_pem)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._session = ""
        self._sequence = 0
        self._ready: tuple[ssl.SSLSocket, float] | None = None

    @classmethod
    def for_guard(
        cls, guard: Guard, *, undo_only: bool = False, timeout_s: float = TIMEOUT_S
    ) -> GuardClient:
        """The client of a stored guard; `undo_only` with the credential that opens no more."""
        if undo_only:
            certificate, key = guard.undo_certificate_pem, guard.undo_key_encrypted
        else:
            certificate, key = guard.client_certificate_pem, guard.client_key_encrypted
        return cls(
            node=guard.node.name,
            address=guard.address,
            port=guard.port,
            pin_pem=guard.certificate_pem,
            certificate_pem=certificate,
            key_pem=decrypt(key),
            timeout_s=timeout_s,
        )

    def hello(self) -> Hello:
        hello = self._ask(Hello, "hello", {})
        with self._lock:
            if hello.session != self._session:
                self._session, self._sequence = hello.session, hello.sequence
            self._sequence = max(self._sequence, hello.sequence)
        return hello

    def connect_ahead(self) -> None:
        """Open the connection of the next `inject` now: what is asked of all nodes at one moment
        then happens at one moment, and waits for no handshake. Never raises: without it, `inject`
        opens its own."""
        try:
            connection = self._connect(time.monotonic() + self._timeout_s)
        except (OSError, ValueError):
            return
        self._keep(connection)

    def close(self) -> None:
        """Let go of a connection that was opened ahead. The client can still be used."""
        self._keep(None)

    def arm(
        self,
        order_id: str,
        fault: Fault,
        epoch: int,
        credential: Credential | None = None,
        *,
        lease_s: float = LEASE_S,
    ) -> Armed:
        session, sequence = self._next()
        request = ArmRequest(
            session=session,
            sequence=sequence,
            epoch=epoch,
            order_id=order_id,
            fault=fault,
            lease_s=lease_s,
            credential=credential,
        )
        # Without what is absent, a guard of an earlier version understands an earlier fault.
        body = compact(to_json(request))
        # A guard tries every change of an object on the API server before it takes the order.
        return self._ask(Armed, "arm", body, timeout_s=INJECT_TIMEOUT_S if fault.objects else None)

    def inject(self, order_id: str) -> OrderReport:
        session, sequence = self._next()
        request = InjectRequest(session=session, sequence=sequence, order_id=order_id)
        return self._ask(OrderReport, "inject", to_json(request), timeout_s=INJECT_TIMEOUT_S)

    def renew(self, order_id: str) -> OrderReport:
        session, sequence = self._next()
        request = RenewRequest(session=session, sequence=sequence, order_id=order_id)
        try:
            return self._ask(OrderReport, "renew", to_json(request))
        except GuardRefused as error:
            if error.code not in (Code.STALE_SESSION, Code.STALE_SEQUENCE):
                raise
        # The guard's worker was restarted: its lease goes on under a new session.
        self.hello()
        session, sequence = self._next()
        request = RenewRequest(session=session, sequence=sequence, order_id=order_id)
        return self._ask(OrderReport, "renew", to_json(request))

    def undo(self, order_id: str) -> OrderReport:
        return self._ask(OrderReport, "undo", to_json(UndoRequest(order_id=order_id)))

    def status(self) -> NodeStatus:
        return self._ask(NodeStatus, "status", {})

    def _next(self) -> tuple[str, int]:
        with self._lock:
            known = bool(self._session)
        if not known:
            self.hello()
        with self._lock:
            self._sequence += 1
            return self._session, self._sequence

    def _ask(
        self, kind: type[T], verb: str, body: dict[str, object], *, timeout_s: float | None = None
    ) -> T:
        limit_s = timeout_s or self._timeout_s
        try:
            status, answer = self._exchange(verb, body, time.monotonic() + limit_s)
        except TimeoutError as error:
            raise GuardUnreachable(
                f"the guard on {self._node} gave no answer to {verb} within {limit_s:g} s"
            ) from error
        except (OSError, ValueError, IndexError) as error:
            raise GuardUnreachable(
                f"the guard on {self._node} cannot be reached: {_why(error)}"
            ) from error
        try:
            if status == 200:
                return from_json(kind, answer, strict=False)
            refusal = from_json(Refusal, answer, strict=False)
        except MalformedError as error:
            raise GuardUnreachable(
                f"the guard on {self._node} answered {verb} in a form that is not understood "
                f"({error}); is it newer than this Belay?"
            ) from error
        raise GuardRefused(refusal.code, refusal.detail)

    def _exchange(self, verb: str, body: dict[str, object], deadline: float) -> tuple[int, object]:
        payload = json.dumps(body).encode()
        connection = (self._taken_ahead() if verb == "inject" else None) or self._connect(deadline)
        with connection:
            connection.settimeout(_left(deadline))
            connection.sendall(
                f"POST /v1/{verb} HTTP/1.1\r\nHost: guard\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n"
                "Connection: close\r\n\r\n".encode("ascii")
                + payload
            )
            return _read_answer(connection, deadline)

    def _connect(self, deadline: float) -> ssl.SSLSocket:
        raw = socket.create_connection(self._place, timeout=_left(deadline))
        try:
            raw.settimeout(_left(deadline))
            # A request right after a handshake would wait 40 ms for its acknowledgement.
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = self._context.wrap_socket(raw)
        except BaseException:
            raw.close()
            raise
        # Nothing is said before the other end has shown the pinned certificate.
        if connection.getpeercert(binary_form=True) != self._pin:
            connection.close()
            raise ValueError("it shows another certificate than the pinned one")
        return connection

    def _keep(self, connection: ssl.SSLSocket | None) -> None:
        with self._lock:
            former = self._ready
            self._ready = (connection, time.monotonic()) if connection else None
        if former:
            former[0].close()

    def _taken_ahead(self) -> ssl.SSLSocket | None:
        with self._lock:
            ready, self._ready = self._ready, None
        if ready is None:
            return None
        connection, since = ready
        if time.monotonic() - since < READY_S:
            return connection
        connection.close()
        return None


def _context(certificate_pem: str, key_pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # The guard's certificate is its own and is pinned byte for byte (`_exchange`): no authority
    # and no name could say more, and no date may stand between anybody and an undo.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # The ssl module reads keys from files only; this one lives in memory and has no name.
    held = os.memfd_create("belay-guard-client", os.MFD_CLOEXEC)
    try:
        os.write(held, (certificate_pem + key_pem).encode("ascii"))
        context.load_cert_chain(f"/proc/self/fd/{held}")
    finally:
        os.close(held)
    return context


def _read_answer(connection: ssl.SSLSocket, deadline: float) -> tuple[int, object]:
    data = b""
    while True:
        connection.settimeout(_left(deadline))
        try:
            chunk = connection.recv(64 * 1024)
        except ssl.SSLEOFError:
            break
        if not chunk:
            break
        data += chunk
        if len(data) > _MAX_ANSWER_BYTES:
            raise ValueError(f"its answer exceeds {_MAX_ANSWER_BYTES} bytes")
        head, separator, body = data.partition(b"\r\n\r\n")
        if separator and len(body) >= _length(head):
            break
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator or len(body) < _length(head):
        raise ConnectionError("it closed the connection in the middle of its answer")
    return int(head.split(b" ", 2)[1]), json.loads(body[: _length(head)])


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    raise ValueError("its answer has no length")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _why(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    return str(error) or type(error).__name__
