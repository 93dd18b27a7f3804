"""The client of a cluster's API gives up: without its etcd an API server is silent for a minute."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from kubernetes import client as k8s
from urllib3.exceptions import HTTPError

from core import kube
from core.errors import ClusterRefused


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes every connection and says nothing on it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


def _typed(server: str) -> k8s.ApiClient:
    return kube.typed(
        kube.Credentials(server=server, ca_pem="", token="x"), connect_s=0.3, read_s=0.3
    )


def _owners(server: str) -> k8s.ApiClient:
    return kube.typed_from_kubeconfig(
        json.dumps(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {"token": "x"}}],
            }
        )
    )


@pytest.mark.parametrize("make", [_typed, _owners])
def test_a_server_that_says_nothing_is_given_up(
    silent: str, make: Callable[[str], k8s.ApiClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kube, "CONNECT_TIMEOUT_S", 0.3)
    ended: list[BaseException] = []

    def look() -> None:
        try:
            with make(silent) as api:
                k8s.VersionApi(api).get_code()
        except (HTTPError, OSError) as error:
            ended.append(error)

    began = time.monotonic()
    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    looking.join(20)
    assert ended, f"still waiting after {time.monotonic() - began:.0f} s"


@pytest.mark.parametrize("text", ["{", "no kubeconfig", "[1]"])
def test_an_owners_kubeconfig_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ClusterRefused, match="kubectl works with"):
        kube.typed_from_kubeconfig(text)
