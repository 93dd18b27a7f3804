"""`object`: API objects are changed and put back over real HTTPS, whoever else writes meanwhile."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guard.kube import JSON, Access, ApiAnswer, HttpsApi
from guard.protocol import (
    Code,
    Credential,
    Fault,
    FaultKind,
    ObjectChange,
    ObjectKind,
    ObjectReport,
    ObjectState,
    ObjectTarget,
    Phase,
    UndoReason,
)
from guard.record import LIVE_BEFORE_UNDO
from guard.world import RefusedError
from tests.guard.world import STATE, Site
from tests.object_api import OWNER, ObjectApi

Json = dict[str, Any]
SHOP = "/apis/apps/v1/namespaces/shop/deployments/shop"
CONFIG = "/api/v1/namespaces/shop/configmaps/prices"
ROUTE = "/apis/projectcontour.io/v1/namespaces/shop/httpproxies/shop"
NODE = "/api/v1/nodes/qa-2"
POD = "/api/v1/namespaces/shop/pods/shop-1"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ObjectApi]:
    api = ObjectApi(tmp_path)
    containers = [
        {"name": "shop", "image": "shop:1", "env": [{"name": "ADDR", "value": ":80"}]},
        {"name": "beside", "image": "beside:1"},
    ]
    api.put(
        SHOP,
        {
            "spec": {"replicas": 2, "template": {"spec": {"containers": containers}}},
            "status": {"observedGeneration": 99},
        },
    )
    api.put(CONFIG, {"data": {"prices.json": "{}", "other": "x"}})
    routes = [
        {"conditions": [{"prefix": "/a"}], "services": [{"name": "a", "port": 80, "weight": 9}]},
        {"services": [{"name": "shop", "port": 80}]},
    ]
    api.put(ROUTE, {"spec": {"virtualhost": {"fqdn": "shop.local"}, "routes": routes}})
    api.put(NODE, {"spec": {"podCIDR": "10.0.0.0/24"}})
    api.put(POD, {"spec": {"nodeName": "qa-2"}})
    yield api
    api.close()


@pytest.fixture
def site() -> Site:
    return Site()


class Case:
    """One change, and how the object shows it."""

    def __init__(self, path: str, kind: ObjectKind, change: ObjectChange, key: str = "") -> None:
        self.path, self.kind, self.change, self.key = path, kind, change, key

    def target(self, api: ObjectApi) -> ObjectTarget:
        metadata = api.objects[self.path]["metadata"]
        return ObjectTarget(
            kind=self.kind,
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            change=self.change,
            key=self.key,
        )


SCALE = Case(SHOP, ObjectKind.DEPLOYMENT, ObjectChange.SCALE_TO_ZERO)
LASTING = [
    SCALE,
    Case(SHOP, ObjectKind.DEPLOYMENT, ObjectChange.BAD_IMAGE, "shop"),
    Case(SHOP, ObjectKind.DEPLOYMENT, ObjectChange.BAD_ENV, "ADDR"),
    Case(CONFIG, ObjectKind.CONFIG_MAP, ObjectChange.BAD_CONFIG, "prices.json"),
    Case(ROUTE, ObjectKind.HTTP_PROXY, ObjectChange.ROUTE_NOWHERE),
    Case(ROUTE, ObjectKind.HTTP_PROXY, ObjectChange.ROUTE_INVALID),
    Case(NODE, ObjectKind.NODE, ObjectChange.CORDON),
]
ENDING = [
    Case(POD, ObjectKind.POD, ObjectChange.EVICT),
    Case(POD, ObjectKind.POD, ObjectChange.DELETE_POD),
]
each_lasting = pytest.mark.parametrize("case", LASTING, ids=lambda case: str(case.change))


def credential(api: ObjectApi, **changes: str) -> Credential:
    given = Credential(
        server=api.url,
        ca_pem=api.ca_pem,
        token=OWNER,
        name="belay-run-1",
        expires_at="2030-01-01T00:00:00Z",
    )
    return dataclasses.replace(given, **changes)


def armed(site: Site, api: ObjectApi, *cases: Case) -> str:
    fault = Fault(kind=FaultKind.OBJECT, hold_s=60, objects=[case.target(api) for case in cases])
    return site.arm(fault=fault, credential=credential(api)).report.order_id


def live(site: Site, api: ObjectApi, *cases: Case) -> str:
    order_id = armed(site, api, *cases)
    site.inject(order_id)
    site.run(0.5)
    assert site.report().bitten
    return order_id


def undone(site: Site, order_id: str) -> None:
    site.orders.undo(order_id)
    site.run(1.0)


def content(api: ObjectApi, path: str) -> Json:
    found = api.objects[path]
    return {key: found.get(key) for key in ("spec", "data")} | {
        "annotations": found["metadata"].get("annotations") or None
    }


def only(site: Site) -> ObjectReport:
    [report] = site.report().objects
    return report


# -- there and back -------------------------------------------------------------------------------


@each_lasting
def test_a_change_is_made_and_taken_back_exactly(case: Case, site: Site, api: ObjectApi) -> None:
    before = json.dumps(content(api, case.path))
    order_id = armed(site, api, case)
    assert json.dumps(content(api, case.path)) == before
    site.inject(order_id)
    site.run(0.5)
    assert only(site).state is ObjectState.CHANGED
    assert json.dumps(content(api, case.path)) != before
    undone(site, order_id)
    assert site.report().phase is Phase.UNDONE
    assert only(site).state is ObjectState.RESTORED
    assert only(site).now_sha256 == only(site).before_sha256
    assert json.dumps(content(api, case.path)) == before


def test_nothing_but_the_touched_field_is_changed(site: Site, api: ObjectApi) -> None:
    order_id = live(site, api, LASTING[1])
    containers = api.objects[SHOP]["spec"]["template"]["spec"]["containers"]
    assert [one["image"] for one in containers] == [
        "belay.invalid/no-such-image:belay-gameday",
        "beside:1",
    ]
    assert containers[0]["env"] == [{"name": "ADDR", "value": ":80"}]
    undone(site, order_id)


@pytest.mark.parametrize("case", ENDING, ids=lambda case: str(case.change))
def test_a_pod_that_was_ended_is_not_waited_for(case: Case, site: Site, api: ObjectApi) -> None:
    order_id = live(site, api, case)
    assert POD not in api.objects
    undone(site, order_id)
    assert site.report().phase is Phase.UNDONE


def test_a_drain_waits_for_a_disruption_budget(site: Site, api: ObjectApi) -> None:
    api.budget_used_up = True
    order_id = armed(site, api, LASTING[-1], ENDING[0])
    site.inject(order_id)
    site.run(5)
    assert POD in api.objects
    assert not site.report().bitten
    assert api.objects[NODE]["spec"]["unschedulable"] is True
    api.budget_used_up = False
    site.run(2)
    assert POD not in api.objects
    assert site.report().bitten
    undone(site, order_id)
    assert "unschedulable" not in api.objects[NODE]["spec"]


def test_scaling_to_zero_has_bitten_only_when_no_replica_is_left(
    site: Site, api: ObjectApi
) -> None:
    api.edit(SHOP, {"status": {"replicas": 2, "readyReplicas": 2}})
    order_id = armed(site, api, SCALE)
    site.inject(order_id)
    site.run(2)
    assert not site.report().bitten
    api.edit(SHOP, {"status": {"replicas": None, "readyReplicas": None}})
    site.run(1)
    assert site.report().bitten


def test_the_dead_man_switch_takes_back_what_nobody_renews(site: Site, api: ObjectApi) -> None:
    live(site, api, SCALE)
    site.run(60)
    assert site.report().undo_reason is UndoReason.LEASE
    assert api.objects[SHOP]["spec"]["replicas"] == 2


def test_a_restarted_node_takes_it_back(site: Site, api: ObjectApi) -> None:
    live(site, api, SCALE)
    site.reboot()
    site.run(2)
    assert site.report().phase is Phase.UNDONE
    assert api.objects[SHOP]["spec"]["replicas"] == 2


def test_an_api_that_is_away_only_delays_the_undo(site: Site, api: ObjectApi) -> None:
    order_id = live(site, api, SCALE)
    api.refuse["GET", SHOP] = 503
    undone(site, order_id)
    assert site.report().phase is Phase.UNDOING
    api.refuse.clear()
    site.run(2)
    assert site.report().phase is Phase.UNDONE
    assert api.objects[SHOP]["spec"]["replicas"] == 2


# -- at arming ------------------------------------------------------------------------------------


def refused(site: Site, api: ObjectApi, target: ObjectTarget, **changes: str) -> RefusedError:
    fault = Fault(kind=FaultKind.OBJECT, hold_s=60, objects=[target])
    with pytest.raises(RefusedError) as caught:
        site.arm(fault=fault, credential=credential(api, **changes))
    assert site.orders.order is None or not site.orders.order.live
    return caught.value


def test_another_version_than_the_one_that_was_looked_at_is_refused(
    site: Site, api: ObjectApi
) -> None:
    target = SCALE.target(api)
    api.edit(SHOP, {"spec": {"paused": True}})
    assert "start again" in refused(site, api, target).detail


def test_another_object_of_that_name_is_refused(site: Site, api: ObjectApi) -> None:
    target = dataclasses.replace(SCALE.target(api), uid=str(uuid.uuid4()))
    assert refused(site, api, target).code is Code.TARGET_ABSENT


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_an_account_that_could_not_undo_it_is_refused(
    method: str, status: int, site: Site, api: ObjectApi
) -> None:
    api.refuse[method, SHOP] = status
    assert str(status) in refused(site, api, SCALE.target(api)).detail


@pytest.mark.parametrize(
    ("case", "says"),
    [
        (Case(SHOP, ObjectKind.DEPLOYMENT, ObjectChange.BAD_IMAGE, "no"), "no container 'no'"),
        (Case(SHOP, ObjectKind.DEPLOYMENT, ObjectChange.BAD_ENV, "NO"), "0 containers"),
        (Case(CONFIG, ObjectKind.CONFIG_MAP, ObjectChange.BAD_CONFIG, "no"), "other, prices.json"),
    ],
)
def test_what_the_object_has_not_cannot_be_changed(
    case: Case, says: str, site: Site, api: ObjectApi
) -> None:
    assert says in refused(site, api, case.target(api)).detail


def test_a_value_that_comes_from_a_secret_is_never_a_target(site: Site, api: ObjectApi) -> None:
    found = api.objects[SHOP]
    [variable] = found["spec"]["template"]["spec"]["containers"][0]["env"]
    del variable["value"]
    variable["valueFrom"] = {"secretKeyRef": {"name": "s", "key": "k"}}
    target = Case(SHOP, ObjectKind.DEPLOYMENT, ObjectChange.BAD_ENV, "ADDR").target(api)
    assert "valueFrom" in refused(site, api, target).detail


def test_what_is_already_as_the_fault_would_make_it_is_refused(site: Site, api: ObjectApi) -> None:
    api.edit(SHOP, {"spec": {"replicas": 0}})
    assert "already" in refused(site, api, SCALE.target(api)).detail


def test_the_token_is_kept_in_the_journal_alone_and_forgotten_at_the_end(
    site: Site, api: ObjectApi, capfd: pytest.CaptureFixture[str]
) -> None:
    order_id = live(site, api, SCALE)
    assert OWNER.encode() in site.disk.files[STATE / "order.json"]
    assert OWNER not in repr(site.report())
    undone(site, order_id)
    assert OWNER.encode() not in b"".join(site.disk.files.values())
    assert OWNER not in "".join(capfd.readouterr())


# -- other people, and bad luck -------------------------------------------------------------------


@each_lasting
def test_row_32_what_a_person_changed_in_mid_fault_is_not_clobbered(
    case: Case, site: Site, api: ObjectApi
) -> None:
    everybodys: dict[str, Json] = {
        SHOP: {"spec": {"replicas": 7, "template": {"spec": {"containers": [
            {"name": "shop", "image": "shop:2", "env": [{"name": "ADDR", "value": ":81"}]},
        ]}}}},
        CONFIG: {"data": {"prices.json": "theirs"}},
        ROUTE: {"spec": {"routes": [{"services": [{"name": "b", "port": 80}]}]}},
        NODE: {"spec": {"unschedulable": None}},
    }  # fmt: skip
    theirs = everybodys[case.path]
    order_id = live(site, api, case)
    api.edit(case.path, theirs)
    kept = json.dumps(content(api, case.path))
    undone(site, order_id)
    if case.change is ObjectChange.CORDON:  # there is no third word: theirs is what was before
        assert site.report().phase is Phase.UNDONE
        return
    report = site.report()
    assert report.phase is Phase.STUCK
    assert "somebody else" in report.detail
    assert only(site).state is ObjectState.FOREIGN
    assert json.dumps(content(api, case.path)) == kept
    site.run(30)
    assert json.dumps(content(api, case.path)) == kept


def test_row_32_a_person_who_puts_it_back_ends_it(site: Site, api: ObjectApi) -> None:
    order_id = live(site, api, SCALE)
    api.edit(SHOP, {"spec": {"replicas": 7}})
    undone(site, order_id)
    assert site.report().phase is Phase.STUCK
    api.edit(SHOP, {"spec": {"replicas": 2}})
    site.run(2)
    assert site.report().phase is Phase.UNDONE


def test_row_32_another_field_that_a_person_changed_stays_theirs(
    site: Site, api: ObjectApi
) -> None:
    order_id = live(site, api, SCALE)
    api.edit(SHOP, {"spec": {"paused": True}})
    undone(site, order_id)
    assert site.report().phase is Phase.UNDONE
    assert api.objects[SHOP]["spec"]["replicas"] == 2
    assert api.objects[SHOP]["spec"]["paused"] is True


def test_row_32_one_object_that_is_stuck_does_not_keep_the_others(
    site: Site, api: ObjectApi
) -> None:
    order_id = live(site, api, SCALE, LASTING[3])
    api.edit(SHOP, {"spec": {"replicas": 7}})
    undone(site, order_id)
    assert site.report().phase is Phase.STUCK
    assert api.objects[CONFIG]["data"]["prices.json"] == "{}"
    assert [one.state for one in site.report().objects] == [
        ObjectState.FOREIGN,
        ObjectState.RESTORED,
    ]


def test_row_33_what_something_else_reverts_is_seen_and_recorded(
    site: Site, api: ObjectApi
) -> None:
    live(site, api, SCALE)
    api.edit(SHOP, {"spec": {"replicas": 2}})
    site.run(3)
    report = site.report()
    assert (report.phase, report.undo_reason) == (Phase.UNDONE, UndoReason.REVERTED)


def test_an_object_that_was_deleted_in_mid_fault_is_stuck(site: Site, api: ObjectApi) -> None:
    order_id = live(site, api, SCALE)
    del api.objects[SHOP]
    undone(site, order_id)
    assert site.report().phase is Phase.STUCK
    assert only(site).state is ObjectState.GONE


def test_one_of_that_name_that_was_made_anew_is_not_touched(site: Site, api: ObjectApi) -> None:
    order_id = live(site, api, SCALE)
    api.put(SHOP, {"spec": {"replicas": 0}})
    undone(site, order_id)
    assert only(site).state is ObjectState.GONE
    assert api.objects[SHOP]["spec"]["replicas"] == 0


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_row_34_a_credential_that_was_revoked_in_mid_fault_is_stuck_never_clean(
    method: str, status: int, site: Site, api: ObjectApi
) -> None:
    order_id = live(site, api, SCALE)
    api.refuse[method, SHOP] = status
    undone(site, order_id)
    site.run(10)
    report = site.report()
    assert report.phase is Phase.STUCK
    assert f"HTTP {status}" in report.detail
    api.refuse.clear()
    site.run(2)
    assert site.report().phase is Phase.UNDONE
    assert api.objects[SHOP]["spec"]["replicas"] == 2


_CALL = HttpsApi.call


class SlowApi:
    """The changes are sent, nobody hears an answer, and they arrive when a test says so."""

    def __init__(self) -> None:
        self.on_their_way: list[tuple[Any, ...]] = []
        self.slow = True

    def call(
        self,
        access: Access,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        content_type: str = JSON,
        within_s: float = 2.0,
    ) -> ApiAnswer:
        if self.slow and method == "PATCH" and "dryRun" not in path:
            self.on_their_way.append((access, method, path, body, content_type))
            raise TimeoutError("no answer")
        return _CALL(HttpsApi(), access, method, path, body, content_type=content_type)

    def arrive(self) -> list[int]:
        return [
            _CALL(HttpsApi(), access, method, path, body, content_type=content_type).status
            for access, method, path, body, content_type in self.on_their_way
        ]


@each_lasting
def test_row_45_a_change_that_arrives_after_the_undo_is_refused(
    case: Case, site: Site, api: ObjectApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = SlowApi()
    monkeypatch.setattr(HttpsApi, "call", lambda _self, *args, **kw: slow.call(*args, **kw))
    before = json.dumps(content(api, case.path))
    order_id = armed(site, api, case)
    site.inject(order_id)
    assert site.report().phase not in LIVE_BEFORE_UNDO
    slow.slow = False
    site.run(2)
    assert site.report().phase is Phase.UNDONE
    assert slow.arrive() == [409]
    assert json.dumps(content(api, case.path)) == before


def test_row_45_a_guard_that_dies_in_the_middle_of_its_change_takes_it_back(
    site: Site, api: ObjectApi
) -> None:
    order_id = armed(site, api, SCALE)
    site.inject(order_id)
    assert site.report().phase is Phase.INJECTING
    assert api.objects[SHOP]["spec"]["replicas"] == 0
    site.restart()
    site.run(2)
    assert site.report().undo_reason is UndoReason.CRASH
    assert api.objects[SHOP]["spec"]["replicas"] == 2


def test_a_version_that_moved_on_between_arming_and_the_change_changes_nothing(
    site: Site, api: ObjectApi
) -> None:
    order_id = armed(site, api, LASTING[3], SCALE)
    api.edit(SHOP, {"spec": {"paused": True}})
    site.inject(order_id)
    site.run(2)
    assert site.report().phase is Phase.UNDONE
    assert api.objects[SHOP]["spec"]["replicas"] == 2
    assert api.objects[CONFIG]["data"]["prices.json"] == "{}"


def test_an_order_that_was_never_struck_is_disarmed_without_a_word_to_the_api(
    site: Site, api: ObjectApi
) -> None:
    order_id = armed(site, api, SCALE)
    asked, version = len(api.asked), api.objects[SHOP]["metadata"]["resourceVersion"]
    undone(site, order_id)
    assert site.report().phase is Phase.UNDONE
    assert len(api.asked) == asked
    assert api.objects[SHOP]["metadata"]["resourceVersion"] == version
    with pytest.raises(RefusedError) as caught:
        site.inject(order_id)
    assert caught.value.code is Code.TOMBSTONE


@pytest.mark.parametrize("status", [401, 403])
def test_row_34_what_nobody_may_read_any_more_a_person_on_the_node_can_end(
    status: int, site: Site, api: ObjectApi
) -> None:
    """A token that ran out comes back never: without this the node could be no target again."""
    order_id = live(site, api, SCALE)
    api.refuse["GET", SHOP] = status
    undone(site, order_id)
    assert "keep-manifest" in site.report().detail
    api.edit(SHOP, {"spec": {"replicas": 2}})
    site.run(5)
    assert site.report().phase is Phase.STUCK, "nobody but a person can know"
    assert site.orders.keep_manifest()
    assert site.report().phase is Phase.UNDONE
    assert api.objects[SHOP]["spec"]["replicas"] == 2


def test_an_api_that_is_away_is_no_reason_to_keep_anything(site: Site, api: ObjectApi) -> None:
    order_id = live(site, api, SCALE)
    api.refuse["GET", SHOP] = 503
    undone(site, order_id)
    site.run(130)
    assert site.report().phase is Phase.STUCK
    assert not site.orders.keep_manifest()


def test_the_node_may_keep_what_a_person_made_but_not_what_the_fault_left(
    site: Site, api: ObjectApi
) -> None:
    order_id = live(site, api, SCALE)
    api.refuse["PATCH", SHOP] = 403
    undone(site, order_id)
    assert not site.orders.keep_manifest()
    api.edit(SHOP, {"spec": {"replicas": 7}})
    site.run(2)
    assert site.orders.keep_manifest()
    assert site.report().phase is Phase.UNDONE
    assert api.objects[SHOP]["spec"]["replicas"] == 7
