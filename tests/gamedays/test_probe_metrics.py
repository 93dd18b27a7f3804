"""What a Prometheus, its alerts and Envoy's own figures answer; unknown where nobody could look."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gamedays.choices import ProbeKind
from gamedays.probes import prometheus
from gamedays.probes.base import Attempt, Metrics
from tests.gamedays.probe_site import AWAY, Site, look, served


@pytest.fixture
def site(settings: Any) -> Iterator[Site]:
    settings.BELAY_PROBE_ALLOW_LOOPBACK = True
    with served() as found:
        yield found


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
