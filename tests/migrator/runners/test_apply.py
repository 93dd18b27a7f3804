"""Manifests that are applied and taken back."""

from __future__ import annotations

import copy

import pytest

from core.errors import Invalid
from migrator.runners import checks
from migrator.runners.apply import Apply
from migrator.runners.base import (
    ForeignChangeError,
    Hands,
    Judged,
    StepRefusedError,
)
from migrator.runners.registry import clean_parameters
from tests.gamedays.conftest import deployment
from tests.migrator.apply_api import ApplyApi
from tests.migrator.runners.asked import DEPLOYMENT, done, look, order
from tests.migrator.world import PROXY

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
CONFIG = "kind: ConfigMap\napiVersion: v1\nmetadata: {name: a, namespace: b}\n"
DEPLOYED_OPEN = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: a, namespace: b}
spec: {template: {spec: {containers: [{name: c, env: [{name: DB_PASSWORD, value: hunter2}]}]}}}
"""


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
        (
            CONFIG + "data: {x: &x y, z: *x}",
            "aliases",
        ),
        (
            CONFIG + "data: {on: x}",
            "no text",
        ),
        (
            CONFIG + "data: {at: 2026-01-01}",
            "in quotes",
        ),
        (
            CONFIG + "data: {DB_PASSWORD: hunter2}",
            "password in the open",
        ),
        (DEPLOYED_OPEN, "password in the open"),
    ],
)
def test_a_manifest_that_no_step_applies(manifest: str, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        clean_parameters("apply", {"manifest": manifest})


def test_a_few_aliases_do_not_stand_for_the_whole_memory() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
        for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(Invalid, match="aliases"):
        clean_parameters("apply", {"manifest": bomb})


def test_what_an_apply_takes_away_is_written_down_and_comes_back(
    api: ApplyApi, hands: Hands
) -> None:
    """The API takes away what we applied before and do not apply any more."""
    path = "/api/v1/namespaces/shop/configmaps/settings"
    head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: shop}\n"
    api.owned(path, {"kind": "ConfigMap", "data": {"a": "1", "b": "1"}}, "belay")
    asked = order({"manifest": head + 'data: {b: "2"}'})
    prepared = done(Apply(), asked, hands)
    assert api.objects[path]["data"] == {"b": "2"}
    Apply().undo(asked, prepared.before, hands)
    assert api.objects[path]["data"] == {"a": "1", "b": "1"}
    assert Apply().is_back(asked, prepared.before, hands)


def test_a_value_of_env_that_is_named_like_a_password_is_not_written_down(
    api: ApplyApi, hands: Hands
) -> None:
    env = [{"name": "DB_PASSWORD", "value": "hunter2"}]
    old = deployment("shop")
    old["spec"]["template"]["spec"]["containers"][0]["env"] = env
    applied = "kubectl.kubernetes.io/last-applied-configuration"
    old["metadata"] = {"annotations": {applied: '{"name":"DB_PASSWORD","value":"hunter2"}'}}
    api.put(DEPLOYMENT, old)
    prepared = Apply().prepare(order({"manifest": MANIFEST}), hands)
    assert "hunter2" not in str(prepared)
    new = (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop, namespace: shop}\n"
        "spec: {template: {spec: {containers: [{name: shop, image: new}]}}}\n"
    )
    with pytest.raises(StepRefusedError) as refused:
        Apply().prepare(order({"manifest": new}), hands)
    assert refused.value.code == "holds_secret"


def test_what_we_made_is_ours_even_where_the_cluster_filled_it_in(
    api: ApplyApi, hands: Hands
) -> None:
    asked = order({"manifest": MANIFEST})
    prepared = Apply().prepare(asked, hands)
    service = "/api/v1/namespaces/shop/services/fresh"
    ports = [{"port": 80, "nodePort": 30123}]
    api.put(
        service,
        {
            "metadata": {"managedFields": [{"manager": "belay"}]},
            "spec": {"selector": {"app": "shop"}, "ports": ports},
        },
    )
    assert Apply().anything_of_ours(asked, prepared.before, hands), "it is not called unchanged"


def test_a_whole_object_is_no_value_that_a_page_shows(api: ApplyApi, hands: Hands) -> None:
    env = [{"name": "DB_PASSWORD", "value": "hunter2"}]
    old = deployment("shop")
    old["spec"]["template"]["spec"]["containers"][0] = {"env": env}
    api.put(DEPLOYMENT, old)
    asked = {
        "kind": "Deployment",
        "namespace": "shop",
        "name": "shop",
        "path": "spec.template.spec.containers[0]",
        "value": "x",
    }
    seen = checks.look("field", asked, hands)
    assert seen.passed is False
    assert "hunter2" not in seen.sentence


_PROXY = """
apiVersion: projectcontour.io/v1
kind: HTTPProxy
metadata: {name: shop, namespace: shop}
spec: {routes: [%s]}
"""
_LEGACY, _FRESH = "{name: shop-legacy, port: 80%s}", "{name: shop, port: 80%s}"
_ALL_TO_LEGACY = f"{{services: [{_LEGACY % ''}]}}"


@pytest.mark.parametrize(
    ("routes", "moved"),
    [
        (f"{{services: [{_LEGACY % ', weight: 100'}, {_FRESH % ', weight: 0'}]}}", False),
        (f"{{services: [{_LEGACY % ', weight: 99'}, {_FRESH % ', weight: 1'}]}}", True),
        (f"{{services: [{_LEGACY % ''}, {_FRESH % ''}]}}", True),
        (_ALL_TO_LEGACY + f", {{conditions: [{{prefix: /api}}], services: [{_FRESH % ''}]}}", True),
        (f"{{services: [{_LEGACY % ''}, {_FRESH % ', mirror: true'}]}}", False),
    ],
    ids=["named at weight 0", "one percent", "no weights are halves", "a new route", "a mirror"],
)
def test_an_apply_sends_nobody_anywhere_else(
    api: ApplyApi, hands: Hands, routes: str, moved: bool
) -> None:
    """It holds no lease, and nobody counts the answers."""
    api.edit(PROXY, {"spec": {"routes": [{"services": [{"name": "shop-legacy", "port": 80}]}]}})
    asked = order({"manifest": _PROXY % routes, "conflicts": "take"})
    if not moved:
        Apply().prepare(asked, hands)
        return
    with pytest.raises(StepRefusedError, match="more requests to shop,") as refused:
        Apply().prepare(asked, hands)
    assert refused.value.code == "moves_traffic"
