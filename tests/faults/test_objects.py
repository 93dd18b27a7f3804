"""Faults on API objects, for real: changed and undone by a guard with the run's own account."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core import kube
from tests.faults.cluster import OBSERVE_S, QaCluster
from tests.stack.running import wait_until

pytestmark = [pytest.mark.range, pytest.mark.timeout(400, func_only=True)]
WRONG = "wrong-configuration"
PRICES = ("deployment", "prices", "-n", "shop")
HOLD_S = 20
STUCK_S = 30
"""A guard that says that a person is needed is believed after 5 s."""


@pytest.fixture(autouse=True)
def nothing_is_left(qa: QaCluster) -> Iterator[None]:
    """Image and replicas as before, and no account of a run."""
    before = _spec(qa)
    yield
    wait_until(lambda: _spec(qa) == before, within_s=60, what="prices as before", every_s=1.0)
    assert _accounts(qa) == []


def _get(qa: QaCluster, *what: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(qa.look.kubectl("get", *what, "-o", "json"))
    return found


def _spec(qa: QaCluster) -> dict[str, Any]:
    spec: dict[str, Any] = _get(qa, *PRICES)["spec"]
    return spec


def _image(qa: QaCluster) -> str:
    return str(_spec(qa)["template"]["spec"]["containers"][0]["image"])


def _set_image(qa: QaCluster, image: str) -> None:
    """What another person in the cluster does."""
    qa.look.kubectl("set", "image", "deployment/prices", f"prices={image}", "-n", "shop")


def _accounts(qa: QaCluster) -> list[str]:
    kinds = "serviceaccounts,roles,rolebindings"
    found = _get(qa, kinds, "-A", "-l", "belay/order")["items"]
    found += _get(qa, "clusterrolebindings", "-l", "belay/order")["items"]
    return [f"{one['kind']} {one['metadata']['name']}" for one in found]


def _begin(qa: QaCluster, **given: object) -> str:
    parameters: dict[str, Any] = {
        "change": "bad-image",
        "target": "shop/prices",
        "hold_s": HOLD_S,
        "observe_s": OBSERVE_S,
    }
    run = qa.start(WRONG, **(parameters | given))
    qa.await_active(run)
    return run


def test_a_bad_image_is_there_and_gone_and_so_is_the_account(qa: QaCluster) -> None:
    before = _image(qa)
    run = _begin(qa)
    assert _image(qa).startswith("belay.invalid/")
    assert f"ServiceAccount belay-run-{run[:8]}" in _accounts(qa)
    assert "eyJ" not in json.dumps(qa.row(run), default=str), "a token is in a row"
    qa.await_clean(run)
    assert _image(qa) == before
    assert qa.row_targets(run) == ["qa-1"]


def test_row_32_a_person_edits_the_object_in_mid_fault(qa: QaCluster) -> None:
    before = _image(qa)
    run = _begin(qa)
    _set_image(qa, "theirs.invalid/prices:2")
    try:
        qa.vera.click_abort(run)
        qa.await_state(run, "undo_stuck", within_s=STUCK_S)
        assert _image(qa) == "theirs.invalid/prices:2", "a person's change was clobbered"
        alarms = [entry for entry in qa.timeline(run) if entry["kind"] == "alarm"]
        assert any("changed by somebody else" in entry["text"] for entry in alarms)
    finally:
        _set_image(qa, before)
    qa.await_clean(run)


@pytest.mark.long
def test_row_33_something_else_reverts_the_fault(qa: QaCluster) -> None:
    before = _image(qa)
    run = _begin(qa, hold_s=120)
    _set_image(qa, before)
    row = qa.await_clean(run)
    assert "undid the fault by itself (reverted)" in row["doubt"]
    assert row["verdict"] == "inconclusive"


@pytest.mark.long
def test_row_34_the_runs_account_is_revoked_in_mid_fault(qa: QaCluster) -> None:
    before = _image(qa)
    run = _begin(qa, hold_s=60)
    name = f"belay-run-{run[:8]}"
    binding = _get(qa, "rolebinding", name, "-n", "shop")
    qa.look.kubectl("delete", "rolebinding", name, "-n", "shop")
    try:
        # The API servers learn of it by themselves; the guard looks once a second.
        wait_until(
            lambda: "HTTP 403" in (qa.look.node("qa-1").order() or {}).get("detail", ""),
            within_s=15,
            what="the guard is refused",
        )
        qa.vera.click_abort(run)
        qa.await_state(run, "undo_stuck", within_s=STUCK_S)
        assert "HTTP 403" in qa.row(run)["reason"]
        assert _image(qa) != before
    finally:
        for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
            binding["metadata"].pop(field, None)
        qa.look.kubectl("create", "-f", "-", stdin=json.dumps(binding))
    qa.await_clean(run)
    assert _image(qa) == before


@pytest.mark.parametrize(
    ("name", "labels", "rule", "says"),
    [
        ("belay-run-x", True, ("", "secrets", "get", "s"), "nothing of Secrets"),
        ("belay-run-x", True, ("apps", "deployments", "patch", ""), "names its objects"),
        ("belay-run-x", True, ("*", "*", "*", "x"), "nothing of Secrets"),
        ("belay-run-x", False, ("apps", "deployments", "patch", "x"), "belay/order"),
        ("another", True, ("apps", "deployments", "patch", "x"), "belay-run-"),
    ],
)
def test_belays_account_can_make_no_wider_role(
    qa: QaCluster, name: str, labels: bool, rule: tuple[str, str, str, str], says: str
) -> None:
    credentials = kube.parse_kubeconfig(Path(qa.look.facts.kubeconfig).read_text())
    group, resource, verb, thing = rule
    body = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name, "labels": {"belay/order": "x"} if labels else {}},
        "rules": [
            {
                "apiGroups": [group],
                "resources": [resource],
                "verbs": [verb],
                "resourceNames": [thing] if thing else [],
            }
        ],
    }
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles"
    answer = kube.fresh_request(credentials, "POST", path, body=body)
    assert answer.status == 422, answer.body
    assert says in answer.json()["message"]


def test_belays_account_can_bind_nothing_to_itself(qa: QaCluster) -> None:
    credentials = kube.parse_kubeconfig(Path(qa.look.facts.kubeconfig).read_text())
    body = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "belay-run-x", "labels": {"belay/order": "x"}},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "belay-cordon-qa-2",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "belay", "namespace": "belay"}],
    }
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    answer = kube.fresh_request(credentials, "POST", path, body=body)
    assert answer.status == 422, answer.body
    assert "nobody else" in answer.json()["message"]
