"""A client-side deadline for every exchange with PostgreSQL.

A server that is stopped (SIGSTOP, a frozen disk) answers no server-side timeout, and libpq waits
for it without end. psycopg2's wait callback hands every such wait to us: we wait at most the
deadline, then psycopg2 closes the connection and Django raises `OperationalError`. The fault
engine can then do what matters (undo) and record it later.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable

import psycopg2
from psycopg2 import extensions

READ, WRITE = select.POLLIN, select.POLLOUT


def wait_with_deadline(deadline_s: float) -> Callable[[extensions.connection], None]:
    """A psycopg2 wait callback that gives one exchange `deadline_s` seconds."""

    def wait(connection: extensions.connection) -> None:
        give_up_at = time.monotonic() + deadline_s
        while True:
            state = connection.poll()
            if state == extensions.POLL_OK:
                return
            wanted = READ if state == extensions.POLL_READ else WRITE
            left_ms = int((give_up_at - time.monotonic()) * 1000)
            # poll and not select: a busy process has descriptors above select's 1024.
            poller = select.poll()
            poller.register(connection.fileno(), wanted)
            if left_ms <= 0 or not poller.poll(left_ms):
                raise psycopg2.OperationalError(
                    f"PostgreSQL did not answer within {deadline_s:g} s; the connection was "
                    "given up (is the server stopped, or its machine frozen?)"
                )

    return wait


def install_deadline(deadline_s: float) -> None:
    """Set the deadline for every psycopg2 connection of this process, also later ones."""
    extensions.set_wait_callback(wait_with_deadline(deadline_s))
