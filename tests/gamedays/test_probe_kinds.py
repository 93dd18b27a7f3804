"""What each kind of probe answers: passed, failed, or unknown where nobody could look."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from core import kube
from core.errors import ClusterUnreachable
from gamedays.choices import ProbeKind
from gamedays.probes import kubernetes_field
from gamedays.probes.base import Attempt
from tests.gamedays.probe_site import AWAY, Site, look, served


@pytest.fixture
def site(settings: Any) -> Iterator[Site]:
    settings.BELAY_PROBE_ALLOW_LOOPBACK = True
    with served() as found:
        yield found


# -- HTTP and TCP -----------------------------------------------------------------------------


def test_http_passes_on_the_status_and_the_text_that_were_asked_for(site: Site) -> None:
    site.answers = {"/": (200, "the shop is open"), "/no": (503, "closed"), "/away": (302, "")}
    assert look(ProbeKind.HTTP, url=site.url, contains="open").passed is True
    closed = look(ProbeKind.HTTP, url=f"{site.url}/no")
    assert (closed.passed, closed.detail) == (False, "status 503, wanted 200")
    assert look(ProbeKind.HTTP, url=f"{site.url}/no", status=503).passed is True
    assert look(ProbeKind.HTTP, url=site.url, contains="sold out").passed is False
    # A redirect is an answer; following it would look at something that nobody named.
    assert look(ProbeKind.HTTP, url=f"{site.url}/away").passed is False
    assert look(ProbeKind.HTTP, url=f"{site.url}/away", status=302).passed is True


def test_http_sends_the_host_that_the_route_is_chosen_by(site: Site) -> None:
    site.answers = {"/": (200, "")}
    look(ProbeKind.HTTP, url=site.url, host="shop.example:8080")
    assert [headers["Host"] for _path, headers in site.asked] == ["shop.example:8080"]


def test_nobody_there_is_a_failure(site: Site) -> None:
    for found in (look(ProbeKind.HTTP, url=AWAY), look(ProbeKind.TCP, host="127.0.0.1", port=1)):
        assert found.passed is False
        assert "refused" in found.detail


def test_tcp_passes_when_the_connection_is_taken(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = look(ProbeKind.TCP, host="127.0.0.1", port=listener.getsockname()[1])
    assert found.passed is True
    assert found.latency_ms is not None


def test_a_machine_of_ours_that_cannot_look_makes_unknown(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_resolver(*_args: object, **_named: object) -> list[Any]:
        raise socket.gaierror(socket.EAI_AGAIN, "the resolver is away")

    monkeypatch.setattr(socket, "getaddrinfo", no_resolver)
    assert look(ProbeKind.HTTP, url="http://shop.example/").passed is None
    assert look(ProbeKind.TCP, host="shop.example", port=80).passed is None


# -- addresses that are nobody's probe --------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.8.8",
        "[::1]",
        "169.254.169.254",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "[fd00:ec2::254]",
        "168.63.129.16",
        "100.100.100.200",
        "0.0.0.0",  # noqa: S104
        "[::]",
        "224.0.0.1",
        "255.255.255.255",
    ],
)
def test_what_only_belays_machine_can_reach_is_no_probes_target(host: str) -> None:
    """Loopback is allowed by a setting alone, which tests of other things turn on."""
    found = look(ProbeKind.HTTP, url=f"http://{host}:9/", timeout_s=0.3)
    assert found.passed is None
    assert "no probe may ask" in found.detail


def test_a_metadata_service_stays_refused_where_loopback_is_allowed(site: Site) -> None:
    for host in ("169.254.169.254", "[::ffff:a9fe:a9fe]"):
        assert look(ProbeKind.HTTP, url=f"http://{host}/", timeout_s=0.3).passed is None


def test_a_name_that_leads_home_is_refused_too() -> None:
    found = look(ProbeKind.HTTP, url="http://localhost:9/", timeout_s=1)
    assert found.passed is None
    assert "Belay's own machine" in found.detail


def test_a_private_network_is_where_clusters_live(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: object, address: tuple[str, int]) -> None:
        raise ConnectionRefusedError(111, f"refused by {address[0]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for host in ("10.0.0.11", "192.168.1.4", "172.16.0.9", "[fd12::1]"):
        assert look(ProbeKind.HTTP, url=f"http://{host}/").passed is False


# -- a field of an object ---------------------------------------------------------------------

SHOP: dict[str, Any] = {
    "kind": "Deployment",
    "namespace": "default",
    "name": "shop",
    "path": "status.readyReplicas",
    "comparison": "at_least",
    "value": "2",
}


def asked(
    monkeypatch: pytest.MonkeyPatch, status: int, document: object = None, **changes: Any
) -> tuple[Attempt, str]:
    paths: list[str] = []

    def answer(_credentials: object, _method: str, path: str, **_named: object) -> kube.Answer:
        paths.append(path)
        return kube.Answer(status, json.dumps(document).encode(), 3.0)

    monkeypatch.setattr(kube, "fresh_request", answer)
    return look(ProbeKind.KUBERNETES_FIELD, **(SHOP | changes)), paths[0]


def test_a_field_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    found, path = asked(monkeypatch, 200, {"status": {"readyReplicas": 2}})
    assert (found.passed, path) == (True, "/apis/apps/v1/namespaces/default/deployments/shop")
    found, _path = asked(monkeypatch, 200, {"status": {"readyReplicas": 1}})
    assert (found.passed, found.detail) == (False, "1, wanted at least 2")
    found, _path = asked(monkeypatch, 200, {"status": {}})
    assert (found.passed, found.detail) == (False, "status.readyReplicas is not there")
    found, _path = asked(monkeypatch, 200, {"status": {}}, when_absent="0", comparison="at_most")
    assert found.passed is True


def test_an_object_that_is_gone_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, 404)[0].passed is False
    gone, _path = asked(monkeypatch, 404, comparison="absent", value="")
    assert gone.passed is True


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_an_api_that_does_not_show_it_leaves_it_unknown(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    assert asked(monkeypatch, status)[0].passed is None


def test_an_api_that_is_away_leaves_it_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_args: object, **_named: object) -> kube.Answer:
        raise ClusterUnreachable("10.0.0.1:6443 refused the connection")

    monkeypatch.setattr(kube, "fresh_request", away)
    assert look(ProbeKind.KUBERNETES_FIELD, **SHOP).passed is None


def test_a_word_with_a_bound_and_a_whole_list_are_unknown() -> None:
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    judge = kubernetes_field.judge
    path = 'status.conditions[?(@.type=="Ready")].status'
    assert judge({"path": path, "comparison": "equals", "value": "True"}, ready).passed is True
    assert judge({"path": path, "comparison": "above", "value": "1"}, ready).passed is None
    whole = {"path": "status.conditions", "comparison": "equals", "value": "x"}
    assert judge(whole, ready).passed is None
    there = {"path": "status.conditions", "comparison": "exists"}
    assert judge(there, ready).passed is True


def test_no_secret_and_no_config_map_can_be_named() -> None:
    assert not {"Secret", "ConfigMap"} & set(kubernetes_field.RESOURCES)
    assert not any("secret" in r.plural for r in kubernetes_field.RESOURCES.values())
