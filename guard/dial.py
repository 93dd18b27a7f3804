"""Fresh TCP connections that nobody waits for: begun at one look, judged at a later one.

A dropped packet shows only as silence, so an attempt is given a second. The guard's lock is held
by whoever looks, so looking must take no time.
"""

from __future__ import annotations

import errno
import select
import socket
import time

from guard.protocol import Endpoint

SILENCE_S = 1.0


class Dialler:
    """One attempt per endpoint at a time. Used under the lock of `guard.orders.Orders`."""

    def __init__(self) -> None:
        self._open: list[socket.socket] = []
        self._since = 0.0
        self._asked: list[Endpoint] = []

    def got_through(self, endpoints: list[Endpoint]) -> bool | None:
        """True: an endpoint answered, if only to refuse. False: none did within the second.

        None: too early to say. After True or False the next call begins anew.
        """
        if self._asked != endpoints:
            self._begin(endpoints)
        if any(_answered(one) for one in self._open):
            self.forget()
            return True
        if time.monotonic() - self._since < SILENCE_S:
            return None
        self.forget()
        return False

    def forget(self) -> None:
        for one in self._open:
            one.close()
        self._open, self._asked = [], []

    def _begin(self, endpoints: list[Endpoint]) -> None:
        self.forget()
        self._asked, self._since = list(endpoints), time.monotonic()
        for endpoint in endpoints:
            family = socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
            one = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            self._open.append(one)
            # EINPROGRESS, or at once the reason why nothing can be sent; `_answered` tells.
            one.connect_ex((endpoint.address, endpoint.port))


def _answered(one: socket.socket) -> bool:
    """Connected, or refused by the other end: either way a packet went there and back."""
    poll = select.poll()
    poll.register(one, select.POLLOUT)
    if not poll.poll(0):
        return False
    error = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error == errno.ECONNREFUSED:
        return True
    if error != 0:
        return False
    try:
        one.getpeername()
    except OSError:
        return False
    return True
