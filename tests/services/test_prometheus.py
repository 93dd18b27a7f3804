"""Probes against a real Prometheus with an alert rule, a moving target, and its own end."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from core.kube import Credentials
from gamedays.choices import ProbeKind
from gamedays.drivers.fleet import Fleet
from gamedays.execution.judge_alerts import Answer, Look, judge_looks
from gamedays.execution.sampling import Watcher
from gamedays.execution.world import Sample
from gamedays.probes.alert import PENDING
from gamedays.probes.base import Attempt, Metrics, ProbeSpec, Surroundings
from gamedays.probes.registry import PROBERS, clean_parameters
from tests.services.prometheus import Shop, binary, running

pytestmark = pytest.mark.services
WITHIN_S = 30
CREDENTIALS = Credentials(server="https://127.0.0.1:1", ca_pem="", token="t")


class Watched:
    """A shop, and the Prometheus that watches it."""

    def __init__(self, shop: Shop, url: str) -> None:
        self.shop = shop
        self.metrics = Metrics(url=url)

    def look(self, kind_: ProbeKind, **given: Any) -> Attempt:
        around = Surroundings(
            credentials=CREDENTIALS,
            api_servers={},
            node_status=lambda _node: None,
            metrics=self.metrics,
        )
        return PROBERS[kind_](spec(kind_, **given), around)

    def await_look(
        self, wanted: Callable[[Attempt], bool], kind_: ProbeKind, **given: Any
    ) -> Attempt:
        give_up_at = time.monotonic() + WITHIN_S
        while True:
            seen = self.look(kind_, **given)
            if wanted(seen):
                return seen
            assert time.monotonic() < give_up_at, f"still {seen}"
            time.sleep(0.1)


def spec(kind_: ProbeKind, id_: int = 1, **given: Any) -> ProbeSpec:
    return ProbeSpec(
        id=id_,
        key=f"probe-{id_}",
        title="A probe",
        kind=kind_,
        target="",
        parameters=clean_parameters(kind_, given),
        attempts=1,
        timeout_s=4.0,
        felt_by_users=False,
    )


UP: dict[str, Any] = {"query": "shop_up", "comparison": "at_least", "value": "1"}
DOWN: dict[str, Any] = {"alert": "ShopIsDown", "within_s": WITHIN_S}


@pytest.fixture
def program(settings: Any) -> str:
    settings.BELAY_PROBE_ALLOW_LOOPBACK = True
    found = binary()
    if found is None:
        pytest.skip("no Prometheus: scripts/test.sh unpacks one")
    return found


@pytest.fixture
def watched(tmp_path: Path, program: str) -> Iterator[Watched]:
    with Shop() as shop, running(program, tmp_path, shop) as url:
        found = Watched(shop, url)
        found.await_look(lambda seen: seen.passed is True, ProbeKind.PROMETHEUS, **UP)
        yield found


def test_a_query_holds_breaks_and_becomes_unknown_without_data(watched: Watched) -> None:
    query = ProbeKind.PROMETHEUS
    watched.shop.up = 0
    broken = watched.await_look(lambda seen: seen.passed is False, query, **UP)
    assert "wanted at least 1" in broken.detail
    assert 'job="shop"' in broken.seen
    # The target is away: nobody measures it any more, and the last value must not stand in.
    watched.shop.away = True
    unseen = watched.await_look(lambda seen: seen.passed is None, query, **UP)
    assert unseen.detail == "the query found no data"
    assert watched.look(query, query="up", comparison="equals", value="0").passed is True


def test_every_series_of_a_query_is_held_to_its_bound(watched: Watched) -> None:
    both = {"query": "shop_replica", "comparison": "equals", "value": "1"}
    assert watched.look(ProbeKind.PROMETHEUS, **both).passed is True
    one = {"query": 'shop_replica * on(n) group_left() label_replace(vector(2), "n", "2", "", "")'}
    assert watched.look(ProbeKind.PROMETHEUS, **(both | one)).passed is False


def test_a_query_that_is_none_is_unknown_and_says_why(watched: Watched) -> None:
    wrong = watched.look(ProbeKind.PROMETHEUS, query="sum(", comparison="at_most", value="1")
    assert wrong.passed is None
    assert "parse error" in wrong.detail
    many = watched.look(ProbeKind.PROMETHEUS, query="shop_up[1m]", comparison="above", value="0")
    assert many.passed is None


def test_an_alert_waits_fires_and_falls_silent_again(watched: Watched) -> None:
    alert = ProbeKind.ALERT_EXPECTED
    assert watched.await_look(lambda seen: seen.passed is False, alert, **DOWN).detail == (
        "not firing"
    )
    watched.shop.up = 0
    watched.await_look(lambda seen: seen.detail.startswith(PENDING), alert, **DOWN)
    firing = watched.await_look(lambda seen: seen.passed is True, alert, **DOWN)
    assert firing.seen.startswith("Firing")
    assert watched.look(alert, **DOWN, labels="team=payments").passed is True
    assert watched.look(alert, **DOWN, labels="team=search").passed is False
    watched.shop.up = 1
    watched.await_look(lambda seen: seen.passed is False, alert, **DOWN)


def test_a_rule_that_is_not_there_or_does_not_work_is_unknown(watched: Watched) -> None:
    alert = ProbeKind.ALERT_EXPECTED
    missing = watched.look(alert, alert="NoSuchAlert", within_s=WITHIN_S)
    assert (missing.passed, missing.detail) == (
        None,
        "Prometheus has no alert rule 'NoSuchAlert'",
    )
    broken = watched.await_look(
        lambda seen: "does not work" in seen.detail and "evaluated yet" not in seen.detail,
        alert,
        alert="NeverWorks",
        within_s=WITHIN_S,
    )
    assert broken.passed is None


def test_the_watcher_sees_it_fire_after_the_fault_and_the_judge_calls_it_held(
    watched: Watched,
) -> None:
    """Real samples of the real watcher, from before the fault until the alert: then once more,
    where the alert was there before."""
    seen = _watch(watched, fault=lambda: setattr(watched.shop, "up", 0))
    assert seen.result == "held", seen.sentence
    assert seen.fired_after_s is not None
    assert seen.fired_after_s >= 2, "the rule itself waits for two seconds"
    already = _watch(watched, fault=lambda: None)
    assert already.result == "unknown"
    assert "firing before the fault already" in already.sentence


def _watch(watched: Watched, *, fault: Callable[[], None]) -> Answer:
    watcher = Watcher(
        probes=(spec(ProbeKind.ALERT_EXPECTED, **DOWN), spec(ProbeKind.PROMETHEUS, id_=2, **UP)),
        credentials=CREDENTIALS,
        api_servers={},
        fleet=cast("Fleet", SimpleNamespace(nodes=[], status=dict)),
        list_pods=tuple,
        metrics=watched.metrics,
    )
    samples: list[Sample] = []

    def gather(enough: Callable[[list[Sample]], bool]) -> None:
        give_up_at = time.monotonic() + WITHIN_S
        while not enough([sample for sample in samples if sample.probe_id == 1]):
            assert time.monotonic() < give_up_at, samples[-3:]
            time.sleep(0.1)
            samples.extend(watcher.drain_samples())

    watcher.start()
    try:
        gather(lambda found: sum(bool(sample.attempts) for sample in found) >= 3)
        bitten = dt.datetime.now(dt.UTC)
        fault()
        gather(lambda found: any(sample.at > bitten and sample.passed for sample in found))
    finally:
        watcher.stop()
    assert any(sample.probe_id == 2 and sample.attempts for sample in samples)
    looks = [
        Look(
            at=sample.at,
            firing=bool(sample.passed),
            pending=sample.detail.startswith(PENDING),
        )
        for sample in sorted(samples, key=lambda sample: sample.at)
        if sample.probe_id == 1 and sample.attempts
    ]
    return judge_looks(
        looks,
        title="ShopIsDown",
        within_s=WITHIN_S,
        injecting=bitten,
        bitten=bitten,
        undo_asked=None,
        ended=dt.datetime.now(dt.UTC),
    )


def test_a_prometheus_that_ended_makes_unknown_and_never_failed(
    tmp_path: Path, program: str
) -> None:
    with Shop() as shop:
        with running(program, tmp_path, shop) as url:
            watched = Watched(shop, url)
            watched.await_look(lambda seen: seen.passed is True, ProbeKind.PROMETHEUS, **UP)
        for kind, given in ((ProbeKind.PROMETHEUS, UP), (ProbeKind.ALERT_EXPECTED, DOWN)):
            gone = watched.look(kind, **given)
            assert gone.passed is None
            assert "refused the connection" in gone.detail
