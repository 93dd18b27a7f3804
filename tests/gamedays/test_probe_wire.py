"""One request, one deadline, one address: also against servers that mean harm."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from core import kube, wire
from core.errors import ClusterUnreachable

Talk = Callable[[socket.socket], None]


@contextmanager
def serving(talk: Talk) -> Iterator[str]:
    """A server that reads one request of each connection and then does as `talk` says."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            while True:
                try:
                    connection, _peer = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(10)
                    try:
                        connection.recv(65536)
                        talk(connection)
                    except OSError:
                        continue  # the client gave up, which is what the tests are about

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def drip(connection: socket.socket) -> None:
    """Endless headers, a byte at a time: each single read is quick."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X")
        time.sleep(0.02)


def drip_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.02)


@pytest.mark.parametrize("talk", [drip, drip_body])
def test_a_server_that_drips_bytes_holds_nobody_past_the_deadline(talk: Talk) -> None:
    with serving(talk) as url:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            wire.request("GET", url, timeout_s=0.5)
    assert time.monotonic() - began < 2


def test_a_clusters_api_that_drips_bytes_is_given_up_too() -> None:
    """TLS has not even begun: the first byte never completes a handshake."""
    with serving(drip) as url:
        credentials = kube.Credentials(
            server=url.replace("http:", "https:"), ca_pem="", token="secret-token"
        )
        began = time.monotonic()
        with pytest.raises(ClusterUnreachable) as refused:
            kube.fresh_request(credentials, "GET", "/readyz", timeout_s=0.5)
    assert time.monotonic() - began < 2
    assert "secret-token" not in str(refused.value)


def test_an_answer_is_read_whole_and_no_further_than_allowed() -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nDate: today\r\n\r\n0123456789"
        )

    with serving(talk) as url:
        whole = wire.request("GET", url, timeout_s=2, max_bytes=10)
        cut = wire.request("GET", url, timeout_s=2, max_bytes=9)
    assert (whole.body, whole.truncated, whole.headers["date"]) == (b"0123456789", False, "today")
    assert (cut.body, cut.truncated) == (b"012345678", True)


def test_a_redirect_is_an_answer_and_nothing_to_follow() -> None:
    asked = []

    def talk(connection: socket.socket) -> None:
        asked.append(1)
        connection.sendall(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
        )

    with serving(talk) as url:
        assert wire.request("GET", url, timeout_s=2).status == 302
    assert asked == [1]


def test_the_address_that_was_checked_is_the_one_that_is_spoken_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that answers differently the second time gains nothing: there is no second time."""
    lookups = []

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with serving(answer) as url:
        port = int(url.rpartition(":")[2])

        def look_up(*_args: object, **_named: object) -> list[object]:
            lookups.append(1)
            address = "127.0.0.1" if len(lookups) == 1 else "169.254.169.254"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        checked: list[str] = []
        answered = wire.request(
            "GET", f"http://rebinding.example:{port}/", timeout_s=2, check=checked.append
        )
    assert (answered.status, checked, len(lookups)) == (204, ["127.0.0.1"], 1)


def test_one_refused_address_among_several_refuses_the_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 1)) for ip in ("127.0.0.2", "127.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: found)

    def check(address: str) -> None:
        if address == "127.0.0.1":
            raise wire.AddressRefusedError(address)

    with pytest.raises(wire.AddressRefusedError):
        wire.connect("several.example", 1, deadline=wire.Deadline(1), check=check)


def test_a_resolver_that_hangs_is_our_failure_and_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_named: let_go.wait(10) and [])
    began = time.monotonic()
    with pytest.raises(wire.NameLookupTimeoutError) as late:
        wire.request("GET", "http://slow.example/", timeout_s=0.3)
    let_go.set()
    assert time.monotonic() - began < 2
    assert wire.is_our_failure(late.value)


def test_whose_failure_it_is() -> None:
    ours = [
        OSError(24, "too many open files"),
        OSError(101, "no route"),
        socket.gaierror(socket.EAI_AGAIN, "the resolver did not answer"),
    ]
    theirs = [
        ConnectionRefusedError(111, "refused"),
        ConnectionResetError(104, "reset"),
        TimeoutError("late"),
        OSError(113, "no such host on that network"),
        socket.gaierror(socket.EAI_NONAME, "no such name"),
        http.client.RemoteDisconnected("closed"),
        ssl.SSLCertVerificationError(1, "certificate verify failed"),
    ]
    assert [wire.is_our_failure(error) for error in ours] == [True] * 3
    assert [wire.is_our_failure(error) for error in theirs] == [False] * 7
