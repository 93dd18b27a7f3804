"""An API server that takes its time keeps nobody waiting at the guard, least of all an undo."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from guard.kube import ApiAnswer
from guard.protocol import (
    Code,
    Credential,
    Fault,
    FaultKind,
    ObjectChange,
    ObjectKind,
    ObjectState,
    ObjectTarget,
    OrderReport,
    Phase,
)
from guard.world import RefusedError
from tests.guard.world import Site

Pool = ThreadPoolExecutor
AT_ONCE_S = 3.0
"""What is kept waiting hears BUSY after half a second, or waits for as long as the API hangs."""
PATIENCE_S = 10.0
NAMES = ("one", "two")
CREDENTIAL = Credential(
    server="https://192.0.2.1", ca_pem="-----BEGIN CERTIFICATE-----", token="t",
    name="belay-run-1", expires_at="2030-01-01T00:00:00Z",
)  # fmt: skip


class HangingApi:
    """Two Deployments in memory. While `hangs` says so, a request waits for `go_on`."""

    def __init__(self) -> None:
        self.replicas = dict.fromkeys(NAMES, 2)
        self.version = dict.fromkeys(NAMES, 7)
        self.hangs: Callable[[str, str], bool] = lambda _method, _path: False
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.changes: list[tuple[str, int]] = []
        """Name and replicas of every change that was sent, also of one that is refused."""

    def call(
        self, access: Any, method: str, path: str, body: Any = None, **_more: Any
    ) -> ApiAnswer:
        name = path.partition("?")[0].rpartition("/")[2]
        dry = "dryRun" in path
        if self.hangs(method, path):
            self.reached.set()
            assert self.go_on.wait(PATIENCE_S)
        if method == "PATCH":
            asked = body["metadata"]["resourceVersion"]
            if "spec" in body and not dry:
                self.changes.append((name, body["spec"]["replicas"]))
            if asked != str(self.version[name]):
                return ApiAnswer(status=409)
            if not dry:
                self.version[name] += 1
                self.replicas[name] = body.get("spec", {}).get("replicas", self.replicas[name])
            else:
                return ApiAnswer(status=200, body=self._found(name, body["spec"]["replicas"]))
        return ApiAnswer(status=200, body=self._found(name, self.replicas[name]))

    def _found(self, name: str, replicas: int) -> dict[str, Any]:
        version = str(self.version[name])
        return {
            "metadata": {"uid": uid(name), "resourceVersion": version, "generation": 1},
            "spec": {"replicas": replicas},
            "status": {"observedGeneration": 1},
        }


@pytest.fixture
def api() -> HangingApi:
    return HangingApi()


@pytest.fixture
def site(api: HangingApi) -> Site:
    site = Site()
    site.objects = api
    site.start()
    return site


@pytest.fixture
def pool(api: HangingApi) -> Iterator[Pool]:
    with ThreadPoolExecutor(4) as pool:
        yield pool
        api.go_on.set()


def uid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def arming(site: Site, api: HangingApi) -> dict[str, Any]:
    targets = [
        ObjectTarget(
            kind=ObjectKind.DEPLOYMENT,
            namespace="shop",
            name=name,
            uid=uid(name),
            resource_version=str(api.version[name]),
            change=ObjectChange.SCALE_TO_ZERO,
        )
        for name in NAMES
    ]
    fault = Fault(kind=FaultKind.OBJECT, hold_s=60, objects=targets)
    return {"fault": fault, "credential": CREDENTIAL}


def undone_at_once(site: Site, pool: Pool, order_id: str) -> OrderReport:
    """Ask for the undo while something hangs; everything else is answered too."""
    asked: Future[OrderReport] = pool.submit(site.orders.undo, order_id)
    report = asked.result(AT_ONCE_S)
    pool.submit(site.orders.report).result(AT_ONCE_S)
    return report


def test_an_undo_waits_for_no_look_that_hangs(site: Site, api: HangingApi, pool: Pool) -> None:
    order_id = site.live(**arming(site, api))
    assert api.replicas == {"one": 0, "two": 0}
    api.hangs = lambda method, _path: method == "GET"
    looking = pool.submit(site.orders.advance)
    assert api.reached.wait(PATIENCE_S)
    assert undone_at_once(site, pool, order_id).phase is Phase.UNDOING
    api.go_on.set()
    looking.result(PATIENCE_S)
    assert site.report().phase is Phase.UNDOING, "what was seen before the undo is forgotten"
    site.run(1.0)
    assert site.report().phase is Phase.UNDONE
    assert api.replicas == {"one": 2, "two": 2}


def test_a_strike_that_hangs_ends_with_the_undo(site: Site, api: HangingApi, pool: Pool) -> None:
    order_id = site.arm(**arming(site, api)).report.order_id
    api.hangs = lambda method, path: method == "PATCH" and "/one" in path
    striking = pool.submit(site.inject, order_id)
    assert api.reached.wait(PATIENCE_S)
    assert undone_at_once(site, pool, order_id).phase is Phase.UNDOING
    api.go_on.set()
    assert striking.result(PATIENCE_S).phase is Phase.UNDOING
    assert api.changes == [("one", 0)], "the second was never sent"
    site.run(1.0)
    assert site.report().phase is Phase.UNDONE
    assert [one.state for one in site.report().objects] == [ObjectState.RESTORED] * 2
    assert api.replicas == {"one": 2, "two": 2}


def test_an_arming_that_hangs_is_over_once_its_undo_came(
    site: Site, api: HangingApi, pool: Pool
) -> None:
    request = site.arm_request(**arming(site, api))
    api.hangs = lambda method, path: method == "GET" and "/one" in path
    armed = pool.submit(site.orders.arm, request)
    assert api.reached.wait(PATIENCE_S)
    assert undone_at_once(site, pool, request.order_id).phase is Phase.UNDONE
    api.go_on.set()
    with pytest.raises(RefusedError) as refused:
        armed.result(PATIENCE_S)
    assert refused.value.code in (Code.TOMBSTONE, Code.TARGET_ABSENT)
    assert site.orders.order is None
    assert api.changes == []


def test_nothing_else_is_armed_while_an_arming_hangs(
    site: Site, api: HangingApi, pool: Pool
) -> None:
    first, second = (site.arm_request(**arming(site, api)) for _ in range(2))
    api.hangs = lambda method, path: method == "GET" and "/one" in path
    armed = pool.submit(site.orders.arm, first)
    assert api.reached.wait(PATIENCE_S)
    later = pool.submit(site.orders.arm, second)
    api.go_on.set()
    assert armed.result(PATIENCE_S).report.order_id == first.order_id
    with pytest.raises(RefusedError) as refused:
        later.result(PATIENCE_S)
    assert refused.value.code is Code.OTHER_ORDER_LIVE


def test_a_wish_in_the_middle_of_a_step_is_not_slept_over(
    site: Site, api: HangingApi, pool: Pool
) -> None:
    order_id = site.live(**arming(site, api))
    api.hangs = lambda method, _path: method == "GET"

    def one_turn() -> None:
        site.orders.rest(site.orders.advance() + 60.0)

    turning = pool.submit(one_turn)
    assert api.reached.wait(PATIENCE_S)
    undone_at_once(site, pool, order_id)
    api.go_on.set()
    turning.result(PATIENCE_S)
