"""What each kind of probe answers: passed, failed, or unknown where nobody could look."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from core import kube
from core.errors import ClusterUnreachable
from gamedays.choices import ProbeKind
from gamedays.probes import kubernetes_field, prometheus
from gamedays.probes.base import Attempt, Metrics, ProbeSpec, Surroundings
from gamedays.probes.registry import PROBERS, clean_parameters

Answers = dict[str, tuple[int, str]]
AWAY = "http://127.0.0.1:1"


class Site:
    """A small web server: path → (status, text). Remembers what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: Answers = {}
        self.asked: list[tuple[str, dict[str, str]]] = []


@pytest.fixture
def site(settings: Any) -> Iterator[Site]:
    settings.BELAY_PROBE_ALLOW_LOOPBACK = True

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append((self.path, dict(self.headers)))
            status, text = found.answers.get(urlsplit(self.path).path, (404, "nothing here"))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_args: object) -> None:
            """Silence."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Site(f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield found
        server.shutdown()


def look(
    kind_: ProbeKind, metrics: Metrics | None = None, *, timeout_s: float = 2.0, **given: Any
) -> Attempt:
    spec = ProbeSpec(
        id=1,
        key="probe",
        title="A probe",
        kind=kind_,
        target="",
        parameters=clean_parameters(kind_, given),
        attempts=1,
        timeout_s=timeout_s,
        felt_by_users=False,
    )
    around = Surroundings(
        credentials=kube.Credentials(server="https://127.0.0.1:1", ca_pem="", token="t"),
        api_servers={},
        node_status=lambda _node: None,
        metrics=metrics,
    )
    return PROBERS[kind_](spec, around)


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


# -- Prometheus -------------------------------------------------------------------------------


def told(data: object, **more: object) -> tuple[int, str]:
    return 200, json.dumps({"status": "success", "data": data, **more})


def vector(*values: str) -> dict[str, Any]:
    rows = [{"metric": {"pod": f"p{i}"}, "value": [1, value]} for i, value in enumerate(values)]
    return {"resultType": "vector", "result": rows}


QUERY: dict[str, Any] = {"query": "up", "comparison": "at_least", "value": "1"}


def test_every_series_has_to_hold_the_bound(site: Site) -> None:
    metrics = Metrics(url=site.url, token="metrics-token")
    site.answers["/api/v1/query"] = told(vector("1", "1"))
    assert look(ProbeKind.PROMETHEUS, metrics, **QUERY).passed is True
    site.answers["/api/v1/query"] = told(vector("1", "0"))
    broken = look(ProbeKind.PROMETHEUS, metrics, **QUERY)
    assert (broken.passed, broken.detail) == (False, '0 {pod="p1"}, wanted at least 1')
    site.answers["/api/v1/query"] = told({"resultType": "scalar", "result": [1, "3"]})
    assert look(ProbeKind.PROMETHEUS, metrics, **QUERY).passed is True
    path, headers = site.asked[0]
    assert parse_qs(urlsplit(path).query)["query"] == ["up"]
    assert headers["Authorization"] == "Bearer metrics-token"


@pytest.mark.parametrize(
    "answer",
    [
        told(vector()),
        told(vector("1", "NaN")),
        told({"resultType": "matrix", "result": []}),
        told(vector("1"), warnings=["one store did not answer"]),
        (200, "<html>a login page</html>"),
        (200, "[]"),
        (401, "who are you"),
        (422, json.dumps({"status": "error", "error": "parse error"})),
        (503, ""),
    ],
)
def test_what_nobody_measured_is_unknown(site: Site, answer: tuple[int, str]) -> None:
    site.answers["/api/v1/query"] = answer
    found = look(ProbeKind.PROMETHEUS, Metrics(url=site.url), **QUERY)
    assert found.passed is None
    assert found.detail


def test_a_prometheus_that_is_away_or_not_named_is_unknown(site: Site) -> None:
    assert look(ProbeKind.PROMETHEUS, Metrics(url=AWAY), **QUERY).passed is None
    unnamed = look(ProbeKind.PROMETHEUS, None, **QUERY)
    assert (unnamed.passed, unnamed.detail) == (None, "no Prometheus is named for this cluster")


def test_infinity_is_a_value_and_breaks_a_bound() -> None:
    assert prometheus.judge([("", float("inf"))], "at_most", 5).passed is False


# -- an alert that is expected ----------------------------------------------------------------


def rule(
    *alerts: tuple[str, str], health: str = "ok", age_s: int = 5, name: str = "ShopIsDown"
) -> tuple[int, str]:
    evaluated = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=age_s)
    active = "2026-01-05T12:00:01.5Z"
    rows = [
        {"state": state, "labels": {"team": team}, "activeAt": active} for team, state in alerts
    ]
    found = {
        "type": "alerting",
        "name": name,
        "health": health,
        "lastEvaluation": evaluated.isoformat().replace("+00:00", "123Z"),
        "alerts": rows,
    }
    return told({"groups": [{"interval": 5, "rules": [found]}]})


def alerting(site: Site, answer: tuple[int, str], **given: Any) -> Attempt:
    site.answers["/api/v1/rules"] = answer
    values: dict[str, Any] = {"alert": "ShopIsDown", "within_s": 60} | given
    return look(ProbeKind.ALERT_EXPECTED, Metrics(url=site.url), **values)


def test_an_alert_fires_waits_or_is_silent(site: Site) -> None:
    firing = alerting(site, rule(("payments", "firing")))
    assert firing.passed is True
    assert "12:00:01" in firing.seen
    pending = alerting(site, rule(("payments", "pending")))
    assert (pending.passed, pending.detail) == (False, "pending since 12:00:01 UTC")
    assert alerting(site, rule()).detail == "not firing"


def test_only_the_alert_with_the_wanted_labels_counts(site: Site) -> None:
    two = rule(("search", "firing"), ("payments", "pending"))
    assert alerting(site, two, labels="team=payments").passed is False
    assert alerting(site, two, labels='team="search"').passed is True


@pytest.mark.parametrize(
    "answer",
    [
        told({"groups": []}),
        rule(name="AnotherAlert"),
        rule(("payments", "firing"), health="err"),
        rule(("payments", "firing"), age_s=3600),
        (500, ""),
    ],
)
def test_the_silence_of_a_rule_that_is_not_evaluated_says_nothing(
    site: Site, answer: tuple[int, str]
) -> None:
    assert alerting(site, answer).passed is None


# -- Envoy ------------------------------------------------------------------------------------


def test_envoys_own_word_about_its_control_plane(site: Site) -> None:
    site.answers["/stats"] = (200, "control_plane.connected_state: 1\n")
    assert look(ProbeKind.ENVOY_STAT, url=site.url).passed is True
    site.answers["/stats"] = (200, "control_plane.connected_state: 0\n")
    cut = look(ProbeKind.ENVOY_STAT, url=site.url)
    assert (cut.passed, cut.detail) == (
        False,
        "0, wanted at least 1: control_plane.connected_state",
    )
    path = site.asked[0][0]
    assert parse_qs(urlsplit(path).query)["filter"] == [r"(^|\.)control_plane\.connected_state$"]


def test_with_a_stream_per_resource_every_one_of_them_counts(site: Site) -> None:
    """As Contour configures Envoy: each kind of resource has a connection of its own."""
    streams = (
        "cluster.shop_shop_80.control_plane.connected_state: 1\n"
        "cluster_manager.cds.control_plane.connected_state: {cds}\n"
        'cluster_manager.cds.control_plane.identifier: ""\n'
        "listener_manager.lds.control_plane.connected_state: 1\n"
    )
    site.answers["/stats"] = (200, streams.format(cds=1))
    assert look(ProbeKind.ENVOY_STAT, url=site.url).passed is True
    site.answers["/stats"] = (200, streams.format(cds=0))
    cut = look(ProbeKind.ENVOY_STAT, url=site.url)
    assert cut.passed is False
    assert "cluster_manager.cds" in cut.detail
    assert "2 of 3 hold" in cut.seen


@pytest.mark.parametrize("answer", [(200, ""), (404, ""), (200, "other: 1")])
def test_an_envoy_that_does_not_say_is_unknown(site: Site, answer: tuple[int, str]) -> None:
    site.answers["/stats"] = answer
    assert look(ProbeKind.ENVOY_STAT, url=site.url).passed is None
    assert look(ProbeKind.ENVOY_STAT, url=AWAY).passed is None
