"""Local health: asked in the background, told at once, never older than it says."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator

import pytest

from guard import health
from guard.health import HealthWatch, local_url, look_at_etcd, parse_etcd_metrics
from guard.protocol import Component, EtcdMember

METRICS = """\
# TYPE etcd_server_has_leader gauge
etcd_server_has_leader 1
etcd_server_is_leader 0
etcd_server_id{server_id="8e9e05c52164694d"} 1
"""


class Member(http.server.BaseHTTPRequestHandler):
    answer = '{"health":"true","reason":""}'

    def do_GET(self) -> None:
        body = (self.answer if self.path == "/health" else METRICS).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


@pytest.fixture
def member(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Member)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_healthy_member_tells_who_it_is(member: str) -> None:
    looked = look_at_etcd(member)
    assert looked.healthy is True
    assert looked.etcd == EtcdMember(member_id="8e9e05c52164694d", has_leader=True, is_leader=False)


def test_a_sick_member_is_told_with_its_reason(
    member: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Member, "answer", '{"health":"false","reason":"RAFT NO LEADER"}')
    looked = look_at_etcd(member)
    assert looked.healthy is False
    assert "NO LEADER" in looked.detail


def test_metrics_without_an_id_name_nobody() -> None:
    assert parse_etcd_metrics("etcd_server_has_leader 1\n") is None


def test_addresses_come_from_the_components_own_manifest() -> None:
    etcd = "- --listen-metrics-urls=http://127.0.0.1:2399\n"
    api = "- --advertise-address=10.1.2.3\n- --secure-port=7443\n"
    assert local_url(Component.ETCD, etcd) == "http://127.0.0.1:2399"
    assert local_url(Component.KUBE_APISERVER, api) == "https://10.1.2.3:7443"
    assert local_url(Component.KUBE_APISERVER, "- --advertise-address=10.1.2.3") == (
        "https://10.1.2.3:6443"
    )
    assert local_url(Component.KUBE_APISERVER, "- --advertise-address=fd00::1") == (
        "https://[fd00::1]:6443"
    )
    assert local_url(Component.ETCD, None) is None


def test_a_look_that_hangs_delays_no_answer(member: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()

    def never(url: str, path: str) -> health.Health:
        hangs.wait(20)
        raise OSError("gave up")

    monkeypatch.setattr(health, "look_at_health", never)
    watch = HealthWatch(lambda _: f"--listen-metrics-urls={member}\n", "127.0.0.1")
    watch.start()
    started = time.monotonic()
    seen = watch.latest()
    assert time.monotonic() - started < 3
    assert seen[Component.KUBE_APISERVER].healthy is None, "could not look is not healthy"
    hangs.set()


def test_an_old_look_is_not_told_as_news(member: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FIRST_LOOK_WAIT_S", 0.0)
    watch = HealthWatch(lambda _: None, "127.0.0.1")
    watch._latest[Component.ETCD] = (
        time.monotonic() - health.FRESH_S - 1,
        health.Health(healthy=True),
    )
    assert watch.latest()[Component.ETCD].healthy is None
