"""`object`: whoever else writes to an API object in mid-fault, and whatever else goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guard.kube import JSON, Access, ApiAnswer, HttpsApi
from guard.protocol import (
    Code,
    ObjectChange,
    ObjectState,
    Phase,
    UndoReason,
)
from guard.record import LIVE_BEFORE_UNDO
from guard.world import RefusedError
from tests.guard.object_cases import (
    CONFIG,
    LASTING,
    NODE,
    ROUTE,
    SCALE,
    SHOP,
    Case,
    Json,
    armed,
    content,
    each_lasting,
    live,
    only,
    shop_api,
    undone,
)
from tests.guard.world import Site
from tests.object_api import ObjectApi


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ObjectApi]:
    with shop_api(tmp_path) as made:
        yield made


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
