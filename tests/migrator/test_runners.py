"""Runners against an API over real HTTPS, with real versions and conflicts."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import kube
from core.errors import ClusterUnreachable, Invalid
from migrator.drivers.api import ClusterApi
from migrator.runners import objects
from migrator.runners.apply import Apply
from migrator.runners.base import (
    ForeignChangeError,
    Hands,
    Judged,
    Look,
    Order,
    Prepared,
    Runner,
    Stand,
    StepRefusedError,
)
from migrator.runners.decommission import Decommission
from migrator.runners.manual import Manual
from migrator.runners.observe import Observe
from migrator.runners.registry import RUNNERS, clean_parameters
from migrator.runners.scale import Scale
from migrator.runners.traffic import Traffic
from tests.gamedays.conftest import deployment
from tests.migrator.apply_api import ApplyApi
from tests.migrator.world import PROXY, FakeAsks, FakeEnvoys, proxy
from tests.object_api import OWNER

DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/shop"
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
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
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: shop, labels: {moved: "yes"}}
spec:
  replicas: 3
---
apiVersion: v1
kind: Service
metadata: {name: fresh, namespace: shop}
spec: {selector: {app: shop}, ports: [{port: 80}]}
"""


class Ticked:
    def __init__(self) -> None:
        self.parts: dict[str, set[int]] = {}

    def ticked(self, part: str) -> frozenset[int]:
        return frozenset(self.parts.get(part, ()))


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApplyApi]:
    api = ApplyApi(tmp_path)
    api.put(PROXY, proxy())
    api.put(DEPLOYMENT, deployment("shop"))
    yield api
    api.close()


@pytest.fixture
def envoys() -> FakeEnvoys:
    return FakeEnvoys()


@pytest.fixture
def ticks() -> Ticked:
    return Ticked()


@pytest.fixture
def hands(api: ApplyApi, envoys: FakeEnvoys, ticks: Ticked) -> Hands:
    credentials = kube.Credentials(server=api.url, ca_pem=api.ca_pem, token=OWNER)
    return Hands(api=ClusterApi(credentials), envoys=envoys, asks=FakeAsks(), ticks=ticks)


def order(parameters: dict[str, Any], **more: Any) -> Order:
    return Order(attempt_id="a", parameters=parameters, **more)


def done(runner: Runner, asked: Order, hands: Hands) -> Prepared:
    """Prepared and changed, and seen to stand."""
    prepared = runner.prepare(asked, hands)
    runner.change(asked, prepared.before, hands)
    assert runner.stand(asked, prepared.before, hands) is Stand.OURS
    return prepared


def look(
    runner: Runner,
    asked: Order,
    prepared: Prepared,
    hands: Hands,
    *,
    memory: dict[str, Any] | None = None,
    stood_s: float = 0.0,
    now: dt.datetime = NOW,
) -> Look:
    return runner.judge(asked, prepared.before, memory or {}, hands, stood_s=stood_s, now=now)


# -- traffic --------------------------------------------------------------------------------------


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


# -- scale ----------------------------------------------------------------------------------------


SCALE: dict[str, Any] = {
    "kind": "Deployment",
    "namespace": "shop",
    "name": "shop",
    "replicas": 4,
    "ready_s": 60,
}


def test_a_workload_is_scaled_and_back(api: ApplyApi, hands: Hands) -> None:
    asked = order(SCALE)
    prepared = done(Scale(), asked, hands)
    assert prepared.diff == ["Deployment shop/shop: 2 → 4 replicas"]
    assert look(Scale(), asked, prepared, hands).judged is Judged.WAIT
    assert look(Scale(), asked, prepared, hands, stood_s=61).judged is Judged.BROKE
    ready = {"observedGeneration": 2, "replicas": 4, "updatedReplicas": 4, "readyReplicas": 4}
    api.edit(DEPLOYMENT, {"status": ready})
    assert look(Scale(), asked, prepared, hands).judged is Judged.PASSED
    Scale().undo(asked, prepared.before, hands)
    assert api.objects[DEPLOYMENT]["spec"]["replicas"] == 2
    assert Scale().is_back(asked, prepared.before, hands)


def test_somebody_elses_number_is_left_alone(api: ApplyApi, hands: Hands) -> None:
    asked = order(SCALE)
    prepared = done(Scale(), asked, hands)
    api.edit(DEPLOYMENT, {"spec": {"replicas": 9}})
    assert look(Scale(), asked, prepared, hands).judged is Judged.BROKE
    with pytest.raises(ForeignChangeError, match="9 replicas"):
        Scale().undo(asked, prepared.before, hands)
    assert api.objects[DEPLOYMENT]["spec"]["replicas"] == 9


def test_a_workload_that_is_gone_is_refused(hands: Hands) -> None:
    with pytest.raises(StepRefusedError, match="There is no Deployment shop/away"):
        Scale().prepare(order({**SCALE, "name": "away"}), hands)


# -- apply ----------------------------------------------------------------------------------------


def test_a_manifest_is_applied_and_taken_back(api: ApplyApi, hands: Hands) -> None:
    before = copy.deepcopy(api.objects[DEPLOYMENT])
    asked = order({"manifest": MANIFEST, "ready_s": 60})
    prepared = done(Apply(), asked, hands)
    assert "Service shop/fresh: is made" in prepared.diff
    assert "Deployment shop/shop: spec.replicas: was 2, is 3" in prepared.diff
    assert api.objects[DEPLOYMENT]["metadata"]["labels"] == {"moved": "yes"}
    assert look(Apply(), asked, prepared, hands).judged is Judged.WAIT
    Apply().undo(asked, prepared.before, hands)
    assert Apply().is_back(asked, prepared.before, hands)
    assert api.objects[DEPLOYMENT]["spec"] == before["spec"]
    assert not api.objects[DEPLOYMENT]["metadata"].get("labels")
    assert "/api/v1/namespaces/shop/services/fresh" not in api.objects


def test_a_dry_run_comes_first_and_changes_nothing(api: ApplyApi, hands: Hands) -> None:
    before = copy.deepcopy(api.objects)
    Apply().prepare(order({"manifest": MANIFEST}), hands)
    assert api.objects == before
    writes = [target for verb, target, _ in api.asked if verb == "PATCH"]
    assert writes
    assert all("dryRun=All" in target for target in writes)


def test_another_managers_fields_are_refused_unless_taken(api: ApplyApi, hands: Hands) -> None:
    api.owned(DEPLOYMENT, {"kind": "Deployment", **deployment("shop")}, "helm")
    with pytest.raises(StepRefusedError, match=r"spec\.replicas") as refused:
        Apply().prepare(order({"manifest": MANIFEST}), hands)
    assert refused.value.code == "other_manager"
    done(Apply(), order({"manifest": MANIFEST, "conflicts": "take"}), hands)


def test_one_foreign_object_keeps_no_other_from_going_back(api: ApplyApi, hands: Hands) -> None:
    asked = order({"manifest": MANIFEST})
    prepared = done(Apply(), asked, hands)
    service = "/api/v1/namespaces/shop/services/fresh"
    api.edit(service, {"spec": {"selector": {"app": "else"}}})
    with pytest.raises(ForeignChangeError, match="Service shop/fresh"):
        Apply().undo(asked, prepared.before, hands)
    assert api.objects[DEPLOYMENT]["spec"]["replicas"] == 2
    assert api.objects[service]["spec"]["selector"] == {"app": "else"}


def test_whoever_made_it_in_between_is_not_written_over(api: ApplyApi, hands: Hands) -> None:
    asked = order({"manifest": MANIFEST})
    prepared = Apply().prepare(asked, hands)
    service = "/api/v1/namespaces/shop/services/fresh"
    api.put(service, {"spec": {"selector": {"app": "theirs"}}})
    with pytest.raises(ForeignChangeError):
        Apply().change(asked, prepared.before, hands)
    assert api.objects[service]["spec"] == {"selector": {"app": "theirs"}}


def test_what_looks_like_a_password_is_not_written_down(api: ApplyApi, hands: Hands) -> None:
    path = "/api/v1/namespaces/shop/configmaps/settings"
    api.put(path, {"data": {"line": "password=hunter2hunter2"}})
    manifest = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: shop}\n"
        "data: {line: other}\n"
    )
    with pytest.raises(StepRefusedError, match="password") as refused:
        Apply().prepare(order({"manifest": manifest}), hands)
    assert refused.value.code == "holds_secret"


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ("{", "no YAML"),
        ("", "is needed"),
        ("kind: Secret\napiVersion: v1\nmetadata: {name: a, namespace: b}", "no kind that a step"),
        (
            "kind: Deployment\napiVersion: apps/v1beta1\nmetadata: {name: a, namespace: b}",
            "apps/v1",
        ),
        ("kind: Service\napiVersion: v1\nmetadata: {name: a}", "say its namespace"),
        ("kind: Service\napiVersion: v1\nmetadata: {name: a, namespace: belay}", "Belay's own"),
        ("kind: Service\napiVersion: v1\nmetadata: {name: a, namespace: b, uid: x}", "uid"),
        ("- a\n- b", "kind and metadata"),
    ],
)
def test_a_manifest_that_no_step_applies(manifest: str, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        clean_parameters("apply", {"manifest": manifest})


# -- observe, manual, decommission ----------------------------------------------------------------


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
    **{key: TRAFFIC[key] for key in ("namespace", "route", "legacy_service")},
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


def test_every_kind_says_what_it_does_and_has_bounds() -> None:
    for key, runner in RUNNERS.items():
        assert runner.key == key
        assert runner.title
        assert runner.summary.endswith(".")
        assert runner.in_words({}) is not None
        for field in runner.fields:
            if field.kind in ("integer", "number"):
                assert field.minimum is not None, (key, field.name)
                assert field.maximum is not None, (key, field.name)
