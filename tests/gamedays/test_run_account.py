"""The account of one run: what it may do, that it goes again, and what refuses to be minted."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Collection
from typing import Any

import pytest

from core import kube
from core.errors import ClusterRefused, ClusterUnreachable
from gamedays.drivers.objects import Objects
from gamedays.drivers.run_account import RunAccounts
from gamedays.drivers.run_rights import rules_for
from gamedays.operations.runs import abort_injection, start_gameday
from gamedays.scenarios.plan import ObjectFault, ObjectTarget
from gamedays.tasks import remove_orphans
from tests.gamedays.conftest import PRICES, deployment
from tests.object_api import OWNER, ObjectApi
from tests.people import book, make_cast

ORDER = "0a1b2c3d-0000-4000-8000-000000000001"
ACCOUNT = "/api/v1/namespaces/belay-runs/serviceaccounts/belay-run-0a1b2c3d"
ROLE = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles/belay-run-0a1b2c3d"
SCALE = ObjectFault(kind="deployment", namespace="shop", name="prices", change="scale-to-zero")


@pytest.fixture
def accounts(credentials: kube.Credentials) -> RunAccounts:
    return RunAccounts(credentials)


def test_every_rule_names_its_objects_and_none_is_about_secrets() -> None:
    kinds = {
        "deployment": "bad-image",
        "config-map": "bad-config",
        "http-proxy": "route-nowhere",
    }
    targets = [a_target(kind, change) for kind, change in kinds.items()]
    targets += [a_target("pod", "evict"), a_target("pod", "delete-pod")]
    given = rules_for(targets)
    assert set(given) == {"shop"}
    for rule in (rule for rules in given.values() for rule in rules):
        assert rule["resourceNames"] == ["it"]
        assert "secrets" not in rule["resources"]
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]


def a_target(kind: Any, change: Any) -> ObjectTarget:
    return ObjectTarget(
        kind=kind,
        namespace="" if kind == "node" else "shop",
        name="it",
        uid=str(uuid.uuid4()),
        resource_version="1",
        change=change,
    )


def test_what_belay_may_make_is_asked_before_anything_is_touched(
    api: ObjectApi, objects: Objects, accounts: RunAccounts
) -> None:
    targets, there = objects.read_target(SCALE), set(api.objects)
    accounts.require_mintable(targets)
    api.denied = {("escalate", "roles")}
    with pytest.raises(ClusterRefused, match="escalate roles in shop"):
        accounts.require_mintable(targets)
    assert set(api.objects) == there


def test_a_minted_account_may_do_exactly_this(
    api: ObjectApi, objects: Objects, accounts: RunAccounts
) -> None:
    targets = objects.read_target(SCALE)
    api.put("/apis/apps/v1/namespaces/shop/deployments/shop", deployment("shop"))
    minted = accounts.mint(ORDER, targets, 700)
    assert minted.name == "belay-run-0a1b2c3d"
    assert minted.token not in repr(minted)
    access = kube.Credentials(server=minted.server, ca_pem=minted.ca_pem, token=minted.token)

    def status(method: str, path: str) -> int:
        body = {"spec": {"paused": True}} if method == "PATCH" else None
        return kube.fresh_request(access, method, path, body=body).status

    assert status("GET", PRICES) == 200
    assert status("PATCH", PRICES) == 200
    assert status("DELETE", PRICES) == 403
    assert status("GET", "/apis/apps/v1/namespaces/shop/deployments/shop") == 403
    assert status("GET", "/api/v1/namespaces/shop/pods/prices-1") == 403
    assert status("GET", "/api/v1/namespaces/shop/secrets/any") == 403


def test_a_run_closes_one_node_at_a_time(accounts: RunAccounts) -> None:
    nodes = [dataclasses.replace(a_target("node", "cordon"), name=name) for name in ("a", "b")]
    with pytest.raises(ClusterRefused, match="not a, b"):
        accounts.require_mintable(nodes)


def test_minting_twice_for_one_order_is_one_account(
    api: ObjectApi, objects: Objects, accounts: RunAccounts
) -> None:
    targets = objects.read_target(SCALE)
    accounts.mint(ORDER, targets, 700)
    accounts.mint(ORDER, targets, 700)
    assert len([path for path in api.objects if "belay-run-" in path]) == 3


def test_nothing_of_an_account_is_left_at_the_end(
    api: ObjectApi, objects: Objects, accounts: RunAccounts
) -> None:
    api.put("/api/v1/nodes/qa-1", {"spec": {}})
    rule = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "patch"],
            "resourceNames": ["qa-1"]}  # fmt: skip
    api.put("/apis/rbac.authorization.k8s.io/v1/clusterroles/belay-cordon-qa-1", {"rules": [rule]})
    cordon = ObjectFault(kind="node", namespace="", name="qa-1", change="cordon")
    there = set(api.objects)
    minted = accounts.mint(ORDER, objects.read_target(cordon) + objects.read_target(SCALE), 700)
    assert len(set(api.objects) - there) == 4
    accounts.unmint(ORDER)
    assert set(api.objects) == there
    access = kube.Credentials(server=minted.server, ca_pem=minted.ca_pem, token=minted.token)
    assert kube.fresh_request(access, "GET", PRICES).status == 401
    accounts.unmint(ORDER)


@pytest.mark.parametrize("piece", ["/serviceaccounts", "/roles", "/rolebindings", "/token"])
def test_what_cannot_be_minted_is_refused_and_leaves_nothing(
    piece: str, api: ObjectApi, objects: Objects, accounts: RunAccounts
) -> None:
    targets, there = objects.read_target(SCALE), set(api.objects)
    api.refuse["POST", piece] = 403
    with pytest.raises(ClusterRefused, match="could not be minted"):
        accounts.mint(ORDER, targets, 700)
    assert set(api.objects) == there


def test_a_token_that_would_die_before_the_undo_is_refused(
    api: ObjectApi, objects: Objects, accounts: RunAccounts
) -> None:
    api.max_token_s = 3600
    there = set(api.objects)
    with pytest.raises(ClusterRefused, match="3600 s"):
        accounts.mint(ORDER, objects.read_target(SCALE), 4000)
    assert set(api.objects) == there


def test_a_role_of_that_name_that_is_not_ours_is_left_alone(
    api: ObjectApi, objects: Objects, accounts: RunAccounts
) -> None:
    api.put(ROLE, {"rules": []})
    with pytest.raises(ClusterRefused, match="could not be minted"):
        accounts.mint(ORDER, objects.read_target(SCALE), 700)
    assert api.objects[ROLE]["rules"] == []


def test_an_unmint_that_was_cut_short_goes_on_the_next_time(
    api: ObjectApi, objects: Objects, accounts: RunAccounts
) -> None:
    there = set(api.objects)
    accounts.mint(ORDER, objects.read_target(SCALE), 700)
    api.refuse["DELETE", "/roles/"] = 500
    with pytest.raises(ClusterUnreachable):
        accounts.unmint(ORDER)
    assert ACCOUNT in api.objects
    api.refuse.clear()
    accounts.unmint(ORDER)
    assert set(api.objects) == there


def test_what_is_over_goes_and_the_live_stay_whatever_the_clock_says(
    api: ObjectApi, objects: Objects, accounts: RunAccounts
) -> None:
    targets, other = objects.read_target(SCALE), ORDER.replace("0a1b", "ffff")
    accounts.mint(ORDER, targets, 700)
    accounts.mint(other, targets, 700)
    runs = {ORDER: False, other: True}
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    assert accounts.remove_orphans(lambda _orders: runs, later) == [other]
    assert ACCOUNT in api.objects
    runs[ORDER] = True
    assert accounts.remove_orphans(lambda _orders: runs, later) == [ORDER]
    assert not [path for path in api.objects if "belay-run-" in path]


def test_a_run_that_nobody_remembers_keeps_its_account_while_the_token_lives(
    objects: Objects, accounts: RunAccounts
) -> None:
    """Its guard may still need it: the rows may come from a backup that is older than the run."""
    accounts.mint(ORDER, objects.read_target(SCALE), 700)
    now = dt.datetime.now(dt.UTC)
    assert accounts.remove_orphans(lambda _orders: {}, now) == []
    assert accounts.remove_orphans(lambda _orders: {}, now + dt.timedelta(seconds=701)) == [ORDER]


def test_a_run_that_begins_while_beat_is_stopped_keeps_its_account(
    api: ObjectApi, objects: Objects, accounts: RunAccounts
) -> None:
    """Stopped between its two looks, and continued when a fault is live."""

    def asked(orders: Collection[str]) -> dict[str, bool]:
        accounts.mint(ORDER, objects.read_target(SCALE), 700)
        return dict.fromkeys(orders, True)

    assert accounts.remove_orphans(asked, dt.datetime.now(dt.UTC)) == []
    assert ACCOUNT in api.objects


def test_one_orphan_that_does_not_go_does_not_keep_the_others(
    api: ObjectApi, objects: Objects, accounts: RunAccounts
) -> None:
    targets, other = objects.read_target(SCALE), ORDER.replace("0a1b", "ffff")
    accounts.mint(ORDER, targets, 700)
    accounts.mint(other, targets, 700)
    api.refuse["DELETE", f"rolebindings/belay-run-{ORDER[:8]}"] = 403
    over = {ORDER: True, other: True}
    assert accounts.remove_orphans(lambda _orders: over, dt.datetime.now(dt.UTC)) == [other]
    assert ACCOUNT in api.objects


@pytest.mark.django_db
def test_beat_removes_what_is_left_of_runs_that_are_over(
    api: ObjectApi, objects: Objects, accounts: RunAccounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast = make_cast()
    over = abort_injection(
        actor=cast.erik, injection=start_gameday(actor=cast.erik, gameday=book(cast))
    )
    live = start_gameday(actor=cast.erik, gameday=over.agenda_item.gameday)
    targets = objects.read_target(SCALE)
    for order in (str(over.pk), str(live.pk), ORDER, "no-id-of-ours"):
        accounts.mint(order, targets, 700)
    credentials = kube.Credentials(server=api.url, ca_pem=api.ca_pem, token=OWNER)
    monkeypatch.setattr(kube, "credentials_of", lambda _cluster: credentials)
    for _beat in range(2):
        remove_orphans()
        left = {path.rsplit("-run-", 1)[1] for path in api.objects if "serviceaccounts/" in path}
        assert left == {str(live.pk)[:8], ORDER[:8], "no-id-of"}


def test_an_account_somebody_else_made_is_not_removed(
    api: ObjectApi, accounts: RunAccounts
) -> None:
    api.put(ACCOUNT, {})
    with pytest.raises(ClusterRefused, match="left alone"):
        accounts.unmint(ORDER)
    assert ACCOUNT in api.objects
