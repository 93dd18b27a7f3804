"""Routes that are no plain pair of halves: refused, or measured where the requests really are."""

from __future__ import annotations

import copy
import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from migrator.drivers.envoys import EnvoyFigures
from migrator.runners.base import FiguresMissingError, Hands, Judged, Order, StepRefusedError
from migrator.runners.decommission import Decommission
from migrator.runners.traffic import Traffic
from tests.migrator.runners.asked import Ticked, done, look, order
from tests.migrator.runners.test_traffic import TRAFFIC
from tests.migrator.runners.test_waiting import GONE
from tests.migrator.world import PROXY, FakeApi, FakeAsks, FakeEnvoys, proxy
from tests.object_store import ObjectStore


@pytest.fixture
def api() -> ObjectStore:
    """In memory: what is asked here is no question of sockets."""
    store = ObjectStore()
    store.put(PROXY, proxy())
    return store


@pytest.fixture
def hands(api: ObjectStore, envoys: FakeEnvoys, ticks: Ticked) -> Hands:
    return Hands(api=FakeApi(api), envoys=envoys, asks=FakeAsks(), ticks=ticks)


def pair(legacy: int, kubernetes: int, **more: Any) -> dict[str, Any]:
    route = copy.deepcopy(proxy(kubernetes)["spec"]["routes"][0])
    assert legacy == 100 - kubernetes
    return {**route, **more}


def alone(name: str, port: int, prefix: str) -> dict[str, Any]:
    return {"conditions": [{"prefix": prefix}], "services": [{"name": name, "port": port}]}


def test_it_is_judged_at_the_port_of_the_routes_that_it_moves(
    api: ObjectStore, hands: Hands, envoys: FakeEnvoys
) -> None:
    api.put(PROXY, proxy(routes=[pair(100, 0), alone("shop", 9090, "/metrics")]))
    asked = order({**TRAFFIC, "least_requests": 20})
    prepared = done(Traffic(), asked, hands)
    assert prepared.before["ports"] == {"shop": 80, "shop-legacy": 80}
    # What other routes bring is fine, and every request that was moved fails.
    envoys.totals = {
        "completed:shop_shop_9090": 1000,
        "completed:shop_shop_80": 40,
        "failed:shop_shop_80": 40,
    }
    assert look(Traffic(), asked, prepared, hands, stood_s=60).judged is Judged.BROKE


def test_routes_at_different_ports_are_refused(api: ObjectStore, hands: Hands) -> None:
    other = pair(100, 0, conditions=[{"prefix": "/api"}])
    other["services"][1]["port"] = 8080
    api.put(PROXY, proxy(routes=[pair(100, 0), other]))
    with pytest.raises(StepRefusedError, match="ports 80 and 8080") as refused:
        Traffic().prepare(order(TRAFFIC), hands)
    assert refused.value.code == "ports_differ"


def test_a_mirror_is_no_half(api: ObjectStore, hands: Hands) -> None:
    mirrored = {
        "services": [
            {"name": "shop-legacy", "port": 80, "weight": 100},
            {"name": "shop", "port": 80, "mirror": True},
        ]
    }
    api.put(PROXY, proxy(routes=[mirrored]))
    with pytest.raises(StepRefusedError, match="mirrors requests"):
        Traffic().prepare(order(TRAFFIC), hands)


def test_two_routes_that_cannot_be_told_apart_are_refused(api: ObjectStore, hands: Hands) -> None:
    api.put(PROXY, proxy(routes=[pair(100, 0), pair(90, 10)]))
    with pytest.raises(StepRefusedError, match="same conditions and services"):
        Traffic().prepare(order(TRAFFIC), hands)


@pytest.mark.parametrize(
    ("runner", "asked"),
    [(Traffic(), order(TRAFFIC)), (Decommission(), order(GONE))],
    ids=["traffic", "decommission"],
)
def test_tcp_connections_are_not_counted_and_so_refused(
    api: ObjectStore, hands: Hands, runner: Any, asked: Order
) -> None:
    tcp = {"services": [{"name": "shop-legacy", "port": 443}]}
    api.put(PROXY, proxy(100, tcpproxy=tcp))
    with pytest.raises(StepRefusedError) as refused:
        runner.prepare(asked, hands)
    assert refused.value.code == "tcp_not_counted"


def test_legacy_is_silent_only_where_no_route_leads_to_it(
    api: ObjectStore, hands: Hands, envoys: FakeEnvoys
) -> None:
    api.put(PROXY, proxy(routes=[pair(0, 100), alone("shop-legacy", 9000, "/old")]))
    asked, runner = order(GONE), Decommission()
    prepared = done(runner, asked, hands)
    seen = look(runner, asked, prepared, hands)
    envoys.totals = {"completed:shop_shop-legacy_9000": 2}
    assert "2 more requests" in look(runner, asked, prepared, hands, memory=seen.memory).sentence


def test_weights_that_stand_already_are_back_already(api: ObjectStore, hands: Hands) -> None:
    api.put(PROXY, proxy(10))
    prepared = done(Traffic(), order(TRAFFIC), hands)
    assert not prepared.changes
    assert Traffic().is_back(order(TRAFFIC), prepared.before, hands)


def test_share_that_was_taken_away_does_not_come_back_by_itself(
    api: ObjectStore, hands: Hands
) -> None:
    api.put(PROXY, proxy(50))
    asked = order(TRAFFIC)
    assert not Traffic().returns_alone(asked, done(Traffic(), asked, hands).before)


class _Stats(http.server.BaseHTTPRequestHandler):
    body = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body.encode())

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def stats() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Stats)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_server_that_is_no_envoy_proves_no_silence(
    stats: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BELAY_PROBE_ALLOW_LOOPBACK = True
    monkeypatch.setattr(_Stats, "body", "<html>welcome</html>")
    with pytest.raises(FiguresMissingError, match="not with an Envoy's figures"):
        EnvoyFigures([stats]).read(["shop_shop_80"])
    monkeypatch.setattr(
        _Stats, "body", "cluster.shop_shop_80.upstream_rq_completed: 7\nserver.live: 1\n"
    )
    assert EnvoyFigures([stats]).read(["shop_shop_80"]) == {
        stats: {"completed:shop_shop_80": 7, "failed:shop_shop_80": 0}
    }
