"""`object`: API objects are changed and put back over real HTTPS, and what is refused at arming."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.protocol import (
    Code,
    Fault,
    FaultKind,
    ObjectChange,
    ObjectKind,
    ObjectState,
    ObjectTarget,
    Phase,
    UndoReason,
)
from guard.world import RefusedError
from tests.guard.object_cases import (
    CONFIG,
    ENDING,
    LASTING,
    NODE,
    POD,
    SCALE,
    SHOP,
    Case,
    armed,
    content,
    credential,
    each_lasting,
    live,
    only,
    shop_api,
    undone,
)
from tests.guard.world import STATE, Site
from tests.object_api import OWNER, ObjectApi


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ObjectApi]:
    with shop_api(tmp_path) as made:
        yield made


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
