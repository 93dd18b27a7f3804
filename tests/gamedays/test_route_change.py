"""The canary route: a change is made, waits while Envoy hears nothing, and is not made twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from core import kube, wire
from core.errors import ClusterUnreachable
from gamedays.probes.base import Attempt, ProbeSpec, Surroundings
from gamedays.probes.registry import clean_parameters
from gamedays.probes.route_change import judge, probe_route_change

WITHIN_S = 10


class Edge:
    """An Envoy that serves `served`, and an API that holds `wanted`."""

    def __init__(self) -> None:
        self.served = self.wanted = str(time.time() - 3600)
        self.status = 200
        self.api_status = 200
        self.api_away = False
        self.changes: list[float] = []

    def envoy(self, *_words: object, **_more: object) -> wire.WireAnswer:
        return wire.WireAnswer(
            status=self.status,
            headers={},
            body=self.served.encode(),
            truncated=False,
            latency_ms=1.0,
        )

    def api(
        self, _credentials: object, method: str, _path: str, *, body: Any = None, **_more: object
    ) -> kube.Answer:
        if self.api_away:
            raise ClusterUnreachable("no answer")
        if method == "PATCH":
            [route] = body["spec"]["routes"]
            self.wanted = route["directResponsePolicy"]["body"]
            self.changes.append(float(self.wanted))
        route = {"directResponsePolicy": {"body": self.wanted}}
        text = json.dumps({"spec": {"routes": [route]}}).encode()
        return kube.Answer(status=self.api_status, body=text, latency_ms=1.0)


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Edge:
    made = Edge()
    monkeypatch.setattr(wire, "request", made.envoy)
    monkeypatch.setattr(kube, "fresh_request", made.api)
    return made


def look() -> Attempt:
    given = {"url": "http://10.0.0.1", "host": "canary.qa.local", "within_s": WITHIN_S}
    kind = "route_change"
    spec = ProbeSpec(
        id=1, key="route", title="Route", kind=kind, target="", attempts=1, timeout_s=2,
        parameters=clean_parameters(kind, given), felt_by_users=False,
    )  # fmt: skip
    around = Surroundings(
        credentials=kube.Credentials(server="https://127.0.0.1:1", ca_pem="", token="t"),
        api_servers={},
        node_status=lambda _node: None,
    )
    return probe_route_change(spec, around)


def test_after_a_quiet_time_the_next_change_is_made_and_nothing_has_failed(edge: Edge) -> None:
    assert look().passed is True
    assert len(edge.changes) == 1
    edge.served = edge.wanted
    assert look().passed is True
    assert len(edge.changes) == 1, "a change that has just arrived stays for a while"


def test_a_change_by_a_clock_that_is_a_little_ahead_stays_for_a_while_too(edge: Edge) -> None:
    edge.served = edge.wanted = f"{time.time() + 1:.3f}"
    assert look().passed is True
    assert edge.changes == []


def test_a_change_that_waits_stays_the_only_one_and_fails_in_time(edge: Edge) -> None:
    edge.wanted = str(time.time() - WITHIN_S + 3)
    assert look().passed is True
    edge.wanted = str(time.time() - WITHIN_S - 3)
    waiting = look()
    assert waiting.passed is False
    assert "a change of 13 s ago is not in effect" in waiting.detail
    assert edge.changes == []
    edge.served = edge.wanted
    assert look().passed is True


def _no_api(edge: Edge) -> None:
    edge.api_away = True


def _no_route(edge: Edge) -> None:
    edge.api_status = 404


def _another_page(edge: Edge) -> None:
    edge.served = "<html>"


def _no_canary(edge: Edge) -> None:
    edge.status = 404


@pytest.mark.parametrize("broken", [_no_api, _no_route, _another_page, _no_canary])
def test_where_no_change_can_be_made_or_seen_it_is_unknown(
    edge: Edge, broken: Callable[[Edge], None]
) -> None:
    broken(edge)
    assert look().passed is None
    assert edge.changes == []


def test_an_envoy_that_is_away_has_failed(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_words: object, **_more: object) -> wire.WireAnswer:
        raise ConnectionRefusedError

    monkeypatch.setattr(wire, "request", away)
    assert look().passed is False


@pytest.mark.parametrize(
    ("served", "wanted", "passed"),
    [(50.0, 50.0, True), (60.0, 50.0, True), (50.0, 95.0, True), (50.0, 89.0, False)],
)
def test_a_change_is_judged_by_how_long_it_waits(
    served: float, wanted: float, passed: bool
) -> None:
    assert judge(served, wanted, 100.0, 10).passed is passed
