"""The shell around the verbs: sockets, TLS, one bounded thread per connection.

A slow or silent client costs a thread for a few seconds and delays nobody: the handshake is done
in that thread, one deadline covers the request, and when all places are taken the oldest
connection that has not shown a certificate goes first.
"""

from __future__ import annotations

import errno
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from guard.log import log
from guard.peers import VERBS, role_of
from guard.protocol import Code, Json, Policy, Refusal, Role, to_json
from guard.wire import close, hang_up, read_request, send_answer
from guard.world import RefusedError

HANDSHAKE_S = 3.0
REQUEST_S = 5.0
MAX_CONNECTIONS = 48
BIND_RETRY_S = 1.0

STATUS_OF = {
    Code.MALFORMED: 400,
    Code.TOO_LARGE: 413,
    Code.FORBIDDEN: 403,
    Code.UNKNOWN_ORDER: 404,
    Code.BUSY: 429,
    Code.INTERNAL: 500,
}
"""Every other refusal is a 409: the request was understood and does not fit the state."""

Handler = Callable[[Role, str, Json], Json]


@dataclass(eq=False)
class _Connection:
    socket: socket.socket
    since: float = field(default_factory=time.monotonic)
    trusted: bool = False


class Server:
    """Listens on the node's one address and hands each request to `handle`."""

    def __init__(self, policy: Policy, context: ssl.SSLContext, handle: Handler) -> None:
        self._policy = policy
        self._context = context
        self._handle = handle
        self._connections: set[_Connection] = set()
        self._lock = threading.Lock()

    def serve(self) -> None:
        """Accept for ever. After a boot the address may come late: keep trying to bind."""
        listener = self._listen()
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError as error:
                log("accept failed", error=str(error))
                time.sleep(0.05 if error.errno in (errno.EMFILE, errno.ENFILE) else 0)
                continue
            connection = _Connection(accepted)
            self._admit(connection)
            threading.Thread(target=self._serve_one, args=(connection,), daemon=True).start()

    def _listen(self) -> socket.socket:
        address = (self._policy.address, self._policy.port)
        family = socket.AF_INET6 if ":" in self._policy.address else socket.AF_INET
        complained = False
        while True:
            listener = socket.socket(family, socket.SOCK_STREAM)
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
                listener.listen(128)
            except OSError as error:
                listener.close()
                if not complained:
                    log("cannot listen yet", address=address, error=str(error))
                    complained = True
                time.sleep(BIND_RETRY_S)
            else:
                log("listening", address=address)
                return listener

    def _admit(self, connection: _Connection) -> None:
        with self._lock:
            if len(self._connections) >= MAX_CONNECTIONS:
                oldest = min(self._connections, key=lambda item: (item.trusted, item.since))
                self._connections.discard(oldest)
                hang_up(oldest.socket)
            self._connections.add(connection)

    def _serve_one(self, connection: _Connection) -> None:
        try:
            self._converse(connection)
        except (OSError, ValueError) as error:
            # A peer that left, was too slow, or speaks no TLS; ValueError: evicted meanwhile.
            log("connection ended", error=str(error))
        finally:
            with self._lock:
                self._connections.discard(connection)
            close(connection.socket)

    def _converse(self, connection: _Connection) -> None:
        connection.socket.settimeout(HANDSHAKE_S)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls = self._context.wrap_socket(
            connection.socket, server_side=True, do_handshake_on_connect=False
        )
        connection.socket = tls
        tls.do_handshake()
        deadline = time.monotonic() + REQUEST_S
        try:
            role = role_of(tls.getpeercert(), self._policy)
            connection.trusted = True
            request = read_request(tls, deadline)
            if request.verb not in VERBS[Role.FULL]:
                raise RefusedError(Code.MALFORMED, f"{request.verb[:32]!r} is no verb of a guard")
            if request.verb not in VERBS[role]:
                raise RefusedError(
                    Code.FORBIDDEN, f"this certificate does not open {request.verb!r}"
                )
            status, answer = 200, self._handle(role, request.verb, request.body)
        except RefusedError as refused:
            status = STATUS_OF.get(refused.code, 409)
            answer = to_json(Refusal(code=refused.code, detail=refused.detail))
        send_answer(tls, status, answer, max(deadline, time.monotonic() + 1.0))
