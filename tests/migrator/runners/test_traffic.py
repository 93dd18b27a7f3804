"""Weights of a route: there and back, refused, and judged."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from core.errors import ClusterUnreachable, Invalid
from migrator.runners import objects
from migrator.runners.base import (
    ForeignChangeError,
    Hands,
    Judged,
    StepRefusedError,
)
from migrator.runners.registry import clean_parameters
from migrator.runners.traffic import Traffic
from tests.migrator.apply_api import ApplyApi
from tests.migrator.runners.asked import done, look, order
from tests.migrator.world import PROXY, FakeEnvoys

TRAFFIC: dict[str, Any] = {
    "namespace": "shop",
    "route": "shop",
    "legacy_service": "shop-legacy",
    "kubernetes_service": "shop",
    "percent": 10,
    "watch_s": 30,
    "least_requests": 5,
    "most_errors_percent": 5,
    "unknown_s": 20,
}


def test_weights_go_there_and_back_field_by_field(api: ApplyApi, hands: Hands) -> None:
    before = copy.deepcopy(api.objects[PROXY]["spec"])
    asked = order(TRAFFIC)
    prepared = done(Traffic(), asked, hands)
    assert prepared.exposes
    assert prepared.diff == [
        "HTTPProxy shop/shop: shop 0% → 10%",
        "HTTPProxy shop/shop: shop-legacy 100% → 90%",
    ]
    weights = {s["name"]: s["weight"] for s in api.objects[PROXY]["spec"]["routes"][0]["services"]}
    assert weights == {"shop-legacy": 90, "shop": 10}
    Traffic().undo(asked, prepared.before, hands)
    assert api.objects[PROXY]["spec"] == before
    assert Traffic().is_back(asked, prepared.before, hands)
    assert all("fieldManager=belay" in path for verb, path, _ in api.asked if verb == "PATCH")


def test_every_write_names_the_version_that_was_looked_at(api: ApplyApi, hands: Hands) -> None:
    found = objects.require(hands.api, "HTTPProxy", "shop", "shop")
    api.edit(PROXY, {"metadata": {"labels": {"by": "somebody"}}})
    with pytest.raises(ForeignChangeError, match="somebody else"):
        objects.patch(hands.api, "HTTPProxy", found, {"spec": {"routes": []}})
    assert api.objects[PROXY]["spec"]["routes"]


@pytest.mark.parametrize(
    ("services", "code", "told"),
    [
        ([("shop-legacy", 90), ("shop", 20)], "weights_wrong", "together 110"),
        ([("shop-legacy", None), ("shop", None)], "weights_wrong", "together 0"),
        ([("shop-legacy", 50), ("shop", 40), ("other", 10)], "weights_wrong", "names shop-legacy"),
        ([("shop-legacy", 100)], "route_gone", "No route"),
    ],
)
def test_weights_that_are_no_shares_are_refused(
    api: ApplyApi,
    hands: Hands,
    services: list[tuple[str, int | None]],
    code: str,
    told: str,
) -> None:
    made = [
        {"name": name, "port": 80} | ({} if weight is None else {"weight": weight})
        for name, weight in services
    ]
    api.put(PROXY, {"spec": {"routes": [{"services": made}]}})
    with pytest.raises(StepRefusedError, match=told) as refused:
        Traffic().prepare(order(TRAFFIC), hands)
    assert refused.value.code == code


def test_a_route_that_is_gone_is_refused(api: ApplyApi, hands: Hands) -> None:
    del api.objects[PROXY]
    with pytest.raises(StepRefusedError, match="There is no HTTPProxy shop/shop") as refused:
        Traffic().prepare(order(TRAFFIC), hands)
    assert refused.value.code == "object_gone"


@pytest.mark.parametrize(
    "mark",
    [
        {"metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "x"}}},
        {"metadata": {"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}},
        {"metadata": {"managedFields": [{"manager": "kustomize-controller"}]}},
    ],
)
def test_what_gitops_manages_is_refused_unless_overridden(
    api: ApplyApi, hands: Hands, mark: dict[str, Any]
) -> None:
    api.edit(PROXY, mark)
    with pytest.raises(StepRefusedError, match="is managed by") as refused:
        Traffic().prepare(order(TRAFFIC), hands)
    assert refused.value.code == "gitops_managed"
    assert Traffic().prepare(order({**TRAFFIC, "even_gitops": "allow"}), hands).diff


def test_a_right_that_is_missing_says_who_gives_it(api: ApplyApi, hands: Hands) -> None:
    api.refuse["PATCH", "httpproxies"] = 403
    with pytest.raises(StepRefusedError, match="--migrates-in shop") as refused:
        Traffic().prepare(order(TRAFFIC), hands)
    assert refused.value.code == "may_not_write"


def test_an_api_that_fails_is_unknown(api: ApplyApi, hands: Hands) -> None:
    api.refuse["GET", "httpproxies"] = 503
    with pytest.raises(ClusterUnreachable):
        Traffic().prepare(order(TRAFFIC), hands)


def test_belays_own_namespaces_are_nobodys_target(hands: Hands) -> None:
    with pytest.raises(StepRefusedError, match="Belay's own"):
        Traffic().prepare(order({**TRAFFIC, "namespace": "belay"}), hands)
    with pytest.raises(Invalid, match="Belay's own"):
        clean_parameters("traffic", {**TRAFFIC, "namespace": "belay"})


def test_an_envoy_that_was_started_anew_is_counted_on(envoys: FakeEnvoys, hands: Hands) -> None:
    envoys.totals = {"completed:shop_shop_80": 1000}
    asked = order(TRAFFIC)
    prepared = done(Traffic(), asked, hands)
    envoys.totals = {"completed:shop_shop_80": 1040}
    first = look(Traffic(), asked, prepared, hands, stood_s=5)
    assert first.figures["kubernetes"] == {"requests": 40, "errors": 0}
    envoys.totals = {"completed:shop_shop_80": 10}
    second = look(Traffic(), asked, prepared, hands, memory=first.memory, stood_s=6)
    assert second.figures["kubernetes"]["requests"] == 50


@pytest.mark.parametrize(
    ("counted", "stood_s", "judged"),
    [
        ((100, 0), 10, Judged.WAIT),
        ((100, 0), 31, Judged.PASSED),
        ((100, 5), 31, Judged.PASSED),
        ((100, 6), 31, Judged.BROKE),
        ((100, 6), 1, Judged.BROKE),
        ((3, 0), 31, Judged.UNKNOWN),
        ((3, 1), 1, Judged.BROKE),
    ],
)
def test_how_it_is_judged(
    envoys: FakeEnvoys, hands: Hands, counted: tuple[int, int], stood_s: float, judged: Judged
) -> None:
    asked = order(TRAFFIC)
    prepared = done(Traffic(), asked, hands)
    requests, errors = counted
    envoys.totals = {"completed:shop_shop_80": requests, "failed:shop_shop_80": errors}
    assert look(Traffic(), asked, prepared, hands, stood_s=stood_s).judged is judged
