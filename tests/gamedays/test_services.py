"""Where the packets to a Service go, from what the cluster's API answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core import kube
from core.errors import ClusterRefused, ClusterUnreachable, NotFound
from gamedays.drivers.services import service_endpoints
from gamedays.scenarios.plan import Endpoint

CREDENTIALS = kube.Credentials(server="https://127.0.0.1:1", ca_pem="", token="t")
SERVICE = "/api/v1/namespaces/registry/services/registry"
SLICES = (
    "/apis/discovery.k8s.io/v1/namespaces/registry/endpointslices"
    "?labelSelector=kubernetes.io%2Fservice-name%3Dregistry"
)
NODES = "/api/v1/nodes"


class Api:
    """Answers as a cluster would, and keeps what it was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.ports: list[dict[str, Any]] = [
            {"port": 5000, "nodePort": 30500, "protocol": "TCP"},
            {"port": 53, "protocol": "UDP"},
        ]
        self.spec: dict[str, Any] = {"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"]}
        self.ingress: list[dict[str, str]] = []
        self.raw: bytes | None = None
        monkeypatch.setattr(kube, "fresh_request", self.answer)

    def answer(self, _who: object, method: str, path: str, **_more: object) -> kube.Answer:
        assert method == "GET"
        self.asked.append(path)
        bodies: dict[str, Any] = {
            SERVICE: {
                "spec": {**self.spec, "ports": self.ports},
                "status": {"loadBalancer": {"ingress": self.ingress}},
            },
            SLICES: {
                "items": [
                    {
                        "endpoints": [{"addresses": ["10.244.1.9"]}, {"addresses": None}],
                        "ports": [{"port": 5001, "protocol": "TCP"}, {"port": None}],
                    },
                    {"endpoints": None, "ports": None},
                ]
            },
            NODES: {
                "items": [
                    {
                        "status": {
                            "addresses": [
                                {"type": "InternalIP", "address": f"192.0.2.{number}"},
                                {"type": "Hostname", "address": f"qa-{number}"},
                            ]
                        }
                    }
                    for number in (1, 2)
                ]
            },
        }
        body = self.raw if self.raw is not None else json.dumps(bodies[path]).encode()
        return kube.Answer(self.status, body, 1.0)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    return Api(monkeypatch)


def _found() -> set[str]:
    found = service_endpoints(CREDENTIALS, "registry", "registry")
    assert all(isinstance(each, Endpoint) for each in found)
    assert list(found) == sorted(found)
    return {f"{each.address}:{each.port}" for each in found}


def test_both_ends_of_every_translation_belong_to_it(api: Api) -> None:
    assert _found() == {"10.96.0.7:5000", "10.244.1.9:5001", "192.0.2.1:30500", "192.0.2.2:30500"}


def test_without_node_ports_no_node_is_asked_for(api: Api) -> None:
    api.ports = [{"port": 8001}]
    assert _found() == {"10.96.0.7:8001", "10.244.1.9:5001"}
    assert NODES not in api.asked


def test_balancers_and_external_addresses_count_and_headless_ones_have_none(api: Api) -> None:
    api.ports = [{"port": 80}]
    api.spec = {"clusterIP": "None", "externalIPs": ["198.51.100.4"]}
    api.ingress = [{"ip": "203.0.113.8"}, {"hostname": "lb.example.com"}]
    assert _found() == {"198.51.100.4:80", "203.0.113.8:80", "10.244.1.9:5001"}


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (404, NotFound, "no service registry/registry"),
        (403, ClusterRefused, "may not read service registry/registry"),
        (500, ClusterUnreachable, "HTTP 500"),
    ],
)
def test_what_cannot_be_read_is_said(
    api: Api, status: int, error: type[Exception], said: str
) -> None:
    api.status = status
    with pytest.raises(error, match=said):
        _found()


def test_an_answer_that_is_no_object_is_no_answer(api: Api) -> None:
    api.raw = b"<html>"
    with pytest.raises(ClusterUnreachable, match="no object"):
        _found()
