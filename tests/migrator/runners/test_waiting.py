"""Kinds that wait for the world or for people: observe, manual, decommission."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from core.errors import Invalid
from migrator.runners.base import (
    Hands,
    Judged,
    StepRefusedError,
)
from migrator.runners.decommission import Decommission
from migrator.runners.manual import Manual
from migrator.runners.observe import Observe
from migrator.runners.registry import clean_parameters
from tests.migrator.apply_api import ApplyApi
from tests.migrator.runners.asked import DEPLOYMENT, NOW, Ticked, done, look, order
from tests.migrator.world import PROXY, FakeEnvoys, proxy


def test_a_soak_is_rows_and_begins_anew_when_what_it_waits_for_goes_away(
    api: ApplyApi, hands: Hands
) -> None:
    watched = {"kind": "Deployment", "namespace": "shop", "name": "shop"}
    asked = order({**watched, "path": "spec.replicas", "value": "2", "soak_s": 60, "wait_s": 3600})
    prepared = done(Observe(), asked, hands)
    first = look(Observe(), asked, prepared, hands)
    assert (first.judged, first.again_s) == (Judged.WAIT, 60.0)
    api.edit(DEPLOYMENT, {"spec": {"replicas": 1}})
    late = NOW + dt.timedelta(seconds=50)
    away = look(Observe(), asked, prepared, hands, memory=first.memory, stood_s=50, now=late)
    assert away.judged is Judged.WAIT
    assert "true_since" not in away.memory
    api.edit(DEPLOYMENT, {"spec": {"replicas": 2}})
    again = look(Observe(), asked, prepared, hands, memory=away.memory, now=late)
    later = late + dt.timedelta(seconds=61)
    assert (
        look(Observe(), asked, prepared, hands, memory=again.memory, now=later).judged
        is Judged.PASSED
    )


def test_who_waits_too_long_is_told(hands: Hands) -> None:
    watched = {"kind": "Deployment", "namespace": "shop", "name": "shop"}
    asked = order({**watched, "path": "spec.replicas", "value": "7", "wait_s": 100})
    prepared = done(Observe(), asked, hands)
    assert look(Observe(), asked, prepared, hands, stood_s=99).judged is Judged.WAIT
    assert look(Observe(), asked, prepared, hands, stood_s=101).judged is Judged.BROKE


def test_an_observation_needs_something_to_wait_for() -> None:
    with pytest.raises(Invalid, match="say how long"):
        clean_parameters("observe", {"link": "https://git.example/1"})
    with pytest.raises(Invalid, match="all of kind"):
        clean_parameters("observe", {"path": "spec.replicas", "value": "1"})


def test_a_checklist_is_done_when_all_is_ticked(hands: Hands, ticks: Ticked) -> None:
    asked = order({"items": "one\ntwo", "back_items": "undo"})
    prepared = done(Manual(), asked, hands)
    assert Manual().is_back(asked, prepared.before, hands), "nobody did anything yet"
    ticks.parts["do"] = {0}
    assert not Manual().is_back(asked, prepared.before, hands)
    assert look(Manual(), asked, prepared, hands).judged is Judged.WAIT
    ticks.parts["do"] = {0, 1}
    assert look(Manual(), asked, prepared, hands).judged is Judged.PASSED
    ticks.parts["back"] = {0}
    assert Manual().is_back(asked, prepared.before, hands)


GONE: dict[str, Any] = {
    "namespace": "shop",
    "route": "shop",
    "legacy_service": "shop-legacy",
    "kubernetes_service": "shop",
    "hold_off_s": 100,
    "items": "stop it",
}


def test_legacy_goes_only_after_measured_silence(
    api: ApplyApi, hands: Hands, envoys: FakeEnvoys, ticks: Ticked
) -> None:
    asked, runner = order(GONE), Decommission()
    with pytest.raises(StepRefusedError, match="100% of the requests") as refused:
        runner.prepare(asked, hands)
    assert refused.value.code == "legacy_in_use"
    api.put(PROXY, proxy(100))
    prepared = done(runner, asked, hands)
    legacy = "completed:shop_shop-legacy_80"
    envoys.totals = {legacy: 500}
    seen = look(runner, asked, prepared, hands)
    at = NOW + dt.timedelta(seconds=60)
    envoys.totals = {legacy: 501}
    seen = look(runner, asked, prepared, hands, memory=seen.memory, now=at)
    assert "1 more requests. It begins anew" in seen.sentence
    at += dt.timedelta(seconds=99)
    seen = look(runner, asked, prepared, hands, memory=seen.memory, now=at)
    assert not seen.figures.get("may_tick")
    envoys.away = True
    assert look(runner, asked, prepared, hands, memory=seen.memory, now=at).judged is Judged.UNKNOWN
    envoys.away = False
    at += dt.timedelta(seconds=2)
    seen = look(runner, asked, prepared, hands, memory=seen.memory, now=at)
    assert (seen.judged, seen.figures) == (Judged.WAIT, {"may_tick": True})
    ticks.parts["do"] = {0}
    seen = look(runner, asked, prepared, hands, memory=seen.memory, now=at)
    assert seen.judged is Judged.PASSED
