"""The guard's client of an API server: bounded, and of one authority only."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from guard.kube import HttpsApi
from tests.object_api import OWNER, ObjectApi


@dataclass(frozen=True)
class Access:
    server: str
    ca_pem: str
    token: str = OWNER


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ObjectApi]:
    api = ObjectApi(tmp_path)
    api.put("/api/v1/nodes/qa-1", {"spec": {}})
    yield api
    api.close()


def test_it_says_what_was_answered(api: ObjectApi) -> None:
    access = Access(api.url, api.ca_pem)
    found = HttpsApi().call(access, "GET", "/api/v1/nodes/qa-1")
    assert (found.status, found.body["metadata"]["name"]) == (200, "qa-1")
    missing = HttpsApi().call(access, "GET", "/api/v1/nodes/qa-2")
    assert (missing.status, missing.message) == (404, "/api/v1/nodes/qa-2 not found")


def test_a_server_of_another_authority_is_told_nothing(api: ObjectApi, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = ObjectApi(tmp_path / "other")
    other.close()
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        HttpsApi().call(Access(api.url, other.ca_pem), "GET", "/api/v1/nodes/qa-1")
    assert api.asked == []


def test_nobody_there_is_an_error_that_names_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OSError, match=rf"127\.0\.0\.1:{port} cannot be reached"):
        HttpsApi().call(Access(f"https://127.0.0.1:{port}", ""), "GET", "/")


def test_a_server_that_drips_is_given_up(api: ObjectApi, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "api.pem")
    enough = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            raw, _ = listener.accept()
            with context.wrap_socket(raw, server_side=True) as tls:
                tls.sendall(b"HTTP/1.1 200 OK\r\n")
                while not enough.wait(0.05):
                    try:
                        tls.sendall(b"X-More: 1\r\n")
                    except OSError:
                        return

        dripping = threading.Thread(target=drip)
        dripping.start()
        began = time.monotonic()
        access = Access(f"https://127.0.0.1:{listener.getsockname()[1]}", api.ca_pem)
        with pytest.raises(TimeoutError, match="no whole answer"):
            HttpsApi().call(access, "GET", "/", within_s=0.5)
        assert time.monotonic() - began < 5
        enough.set()
        dripping.join()


def test_a_server_that_says_nothing_is_given_up(api: ObjectApi) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        access = Access(f"https://127.0.0.1:{listener.getsockname()[1]}", api.ca_pem)
        with pytest.raises(TimeoutError):
            HttpsApi().call(access, "GET", "/", within_s=0.3)


@pytest.mark.parametrize("cut", ["HTTP/1.1 200 OK\r\nContent-", "HTTP/1.1 200 OK\r\n\r\n{"])
def test_an_answer_that_was_cut_off_is_no_answer(cut: str, api: ObjectApi, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "api.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            raw, _ = listener.accept()
            with context.wrap_socket(raw, server_side=True) as tls:
                tls.recv(4096)
                tls.sendall(cut.encode())

        answering = threading.Thread(target=answer)
        answering.start()
        access = Access(f"https://127.0.0.1:{listener.getsockname()[1]}", api.ca_pem)
        with pytest.raises(OSError, match="no whole object"):
            HttpsApi().call(access, "GET", "/")
        answering.join()
