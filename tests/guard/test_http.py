"""One exchange over a socket, with servers that answer badly."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from guard.http import exchange


@contextmanager
def peer(answer: bytes) -> Iterator[tuple[socket.socket, list[bytes]]]:
    """Our end of a connection whose other end reads a request, answers and hangs up."""
    ours, theirs = socket.socketpair()
    asked: list[bytes] = []

    def serve() -> None:
        with theirs, suppress(BrokenPipeError):
            asked.append(theirs.recv(64 * 1024))
            theirs.sendall(answer)

    server = threading.Thread(target=serve)
    server.start()
    with ours:
        ours.settimeout(5)
        yield ours, asked
    server.join(5)


def ask(answer: bytes, *, max_bytes: int = 100) -> tuple[int, bytes]:
    with peer(answer) as (ours, _):
        return exchange(ours, "qa-1:6443", "GET", "/readyz", max_bytes=max_bytes)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nok", (200, b"ok")),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", (404, b"no")),
        (b"HTTP/1.1 204\r\ncontent-length: 0\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more", (200, b"ok")),
        (b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 200, (200, b"x" * 100)),
    ],
)
def test_status_and_body_are_read(answer: bytes, expected: tuple[int, bytes]) -> None:
    assert ask(answer) == expected


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "ended before an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "ended after 4 of 9"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "no HTTP status line"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok", "in pieces"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000, "headers exceed"),
    ],
)
def test_what_is_no_whole_answer_is_an_error(answer: bytes, error: str) -> None:
    with pytest.raises((OSError, ValueError), match=error):
        ask(answer)


def test_a_request_is_one_and_its_headers_hold_no_other() -> None:
    with peer(b"HTTP/1.0 200 OK\r\n\r\n") as (ours, asked):
        exchange(ours, "h", "PATCH", "/x", headers={"A": "b"}, body=b"{}", max_bytes=9)
    assert asked == [b"PATCH /x HTTP/1.0\r\nHost: h\r\nA: b\r\nContent-Length: 2\r\n\r\n{}"]
    never = socket.socket()
    with never, pytest.raises(ValueError, match="line break"):
        exchange(never, "h", "GET", "/x", headers={"A": "b\r\nC: d"}, max_bytes=9)


HEAVY = ("email", "http.client", "argparse", "random", "shutil", "logging")
PARENT_ONLY = (
    *HEAVY,
    "json",
    "dataclasses",
    "inspect",
    "ssl",
    "subprocess",
    "pathlib",
    "threading",
)


@pytest.mark.parametrize(("module", "heavy"), [("worker", HEAVY), ("parent", PARENT_ONLY)])
def test_a_guard_imports_nothing_that_only_costs_memory(
    module: str, heavy: tuple[str, ...]
) -> None:
    """It runs on every node, for as long as that runs."""
    look = f"import sys, guard.{module}; print(*sys.modules)"
    command = [sys.executable, "-S", "-c", look]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert set(heavy) & set(done.stdout.split()) == set()
