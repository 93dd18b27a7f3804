"""The look that no guard has a part in: do packets come back?"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from gamedays.drivers.reach import reached
from gamedays.scenarios.plan import Endpoint


@pytest.fixture
def listening() -> Iterator[Endpoint]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield _place(server)


@pytest.fixture
def closed() -> Endpoint:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return _place(server)


@pytest.fixture
def silent() -> Iterator[Endpoint]:
    """A queue of connections that is full: the kernel drops who else comes, as a cut does."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield _place(server)


def test_who_takes_or_refuses_a_connection_was_reached(
    listening: Endpoint, closed: Endpoint, silent: Endpoint, settings: Any
) -> None:
    settings.BELAY_PROBE_ALLOW_LOOPBACK = True
    assert reached([listening, closed, silent], within_s=0.2) == {listening, closed}


def test_what_no_probe_may_ask_is_not_asked_here_either(listening: Endpoint, settings: Any) -> None:
    settings.BELAY_PROBE_ALLOW_LOOPBACK = False
    assert reached([listening]) == frozenset()


def test_nothing_asked_is_nothing_reached() -> None:
    assert reached([]) == frozenset()


def _place(server: socket.socket) -> Endpoint:
    address, port = server.getsockname()
    return Endpoint(address=address, port=port)
