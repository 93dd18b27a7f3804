"""What is armed and injected, and what is refused. Time is moved, never waited for."""

from __future__ import annotations

import json
import uuid

import pytest

from guard.protocol import (
    INJECT_WINDOW_S,
    Code,
    Component,
    FaultKind,
    Phase,
)
from tests.guard.world import STATE, Site, fault, found_manifest, policy, refused

API = Component.KUBE_APISERVER
ORDER_FILE = STATE / "order.json"


def test_arm_breaks_nothing_and_reads_back_what_lies_on_the_disk(site: Site) -> None:
    armed = site.arm()
    assert armed.report.phase is Phase.ARMED
    assert armed.report.manifest_before == site.node.manifests[API].info
    assert armed.stored_sha256 == armed.report.order_sha256
    assert json.loads(site.disk.files[ORDER_FILE])["sha256"] == armed.stored_sha256
    assert armed.report.order_id in site.node.copies
    assert site.node.kills == []
    assert API in site.node.manifests


def test_arming_the_same_order_again_gives_the_same_answer(site: Site) -> None:
    request = site.arm_request()
    first = site.orders.arm(request)
    again = site.arm(order_id=request.order_id)
    assert again.stored_sha256 == first.stored_sha256
    assert again.report.armed_at == first.report.armed_at


def test_arming_the_same_order_with_another_content_is_refused(site: Site) -> None:
    order_id = site.arm().report.order_id
    with refused(Code.OTHER_ORDER_LIVE):
        site.arm(order_id=order_id, fault=fault(hold_s=61))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"session": "of yesterday"}, Code.STALE_SESSION),
        ({"sequence": 0}, Code.OUT_OF_BOUNDS),
        ({"sequence": 2**80}, Code.OUT_OF_BOUNDS),
        ({"epoch": 2}, Code.OLD_EPOCH),
        ({"epoch": 2**80}, Code.OUT_OF_BOUNDS),
        ({"order_id": "../../etc"}, Code.MALFORMED),
        # Its tombstone would be read back as that of another order.
        ({"order_id": "0b5f8c1e-1111-4222-8333-444455556666\n"}, Code.MALFORMED),
        ({"fault": fault(hold_s=4)}, Code.OUT_OF_BOUNDS),
        ({"fault": fault(hold_s=601)}, Code.OUT_OF_BOUNDS),
        ({"lease_s": 1.9}, Code.OUT_OF_BOUNDS),
        ({"lease_s": 301.0}, Code.OUT_OF_BOUNDS),
        ({"lease_s": float("nan")}, Code.OUT_OF_BOUNDS),
        ({"lease_s": float("inf")}, Code.OUT_OF_BOUNDS),
    ],
)
def test_what_is_not_armed(site: Site, changes: dict[str, object], code: Code) -> None:
    with refused(code):
        site.arm(**changes)
    assert site.orders.report() is None
    assert site.node.stashed_orders() == []
    assert ORDER_FILE not in site.disk.files


def test_a_replayed_request_is_refused(site: Site) -> None:
    request = site.arm_request()
    armed = site.orders.arm(request)
    site.orders.undo(armed.report.order_id)
    site.run(1)
    with refused(Code.STALE_SEQUENCE):
        site.orders.arm(request)


def test_one_order_at_a_time(site: Site) -> None:
    site.arm()
    with refused(Code.OTHER_ORDER_LIVE):
        site.arm(fault=fault(component=Component.ETCD))


def test_a_node_of_another_stage_arms_nothing(site: Site) -> None:
    site.policy = policy(stage="production")
    site.restart()
    with refused(Code.NOT_QA):
        site.arm()


def test_a_component_that_the_node_does_not_allow_is_refused(site: Site) -> None:
    site.policy = policy(components=[Component.ETCD])
    site.restart()
    with refused(Code.UNKNOWN_FAULT):
        site.arm()


def test_row_31_an_older_epoch_is_refused_also_after_a_restart(site: Site) -> None:
    order_id = site.arm(epoch=7).report.order_id
    site.orders.undo(order_id)
    site.run(1)
    site.restart()
    assert site.orders.epoch == 7
    with refused(Code.OLD_EPOCH):
        site.arm(epoch=6)


def test_a_target_that_is_not_there_is_refused(site: Site) -> None:
    site.node.running[API].clear()
    with refused(Code.TARGET_ABSENT):
        site.arm()
    site.node.kubelet()
    del site.node.manifests[API]
    with refused(Code.TARGET_ABSENT):
        site.arm()


def test_two_pods_of_that_name_are_refused_rather_than_guessed(site: Site) -> None:
    site.node.start(API, pod_uid="f" * 32)
    with refused(Code.TARGET_ABSENT):
        site.arm()


def test_a_hold_takes_the_manifest_and_kills_and_is_seen_gone(site: Site) -> None:
    before = [found.info for found in site.node.processes(API)]
    order_id = site.arm().report.order_id
    report = site.inject(order_id)
    assert report.phase is Phase.INJECTING
    assert not report.bitten, "it was killed, but nobody has looked yet"
    site.run(0.1)
    report = site.report()
    assert (report.phase, report.bitten) == (Phase.INJECTED, True)
    assert report.processes_before == before
    assert site.node.kills == before
    assert API not in site.node.manifests


def test_it_has_not_bitten_while_the_process_lives(site: Site) -> None:
    order_id = site.arm().report.order_id
    site.node.immortal = {found.info.pid for found in site.node.processes(API)}
    site.inject(order_id)
    site.run(10)
    assert site.report().phase is Phase.INJECTED
    assert not site.report().bitten


def test_a_process_that_the_kubelet_starts_late_is_killed_and_only_then_has_it_bitten(
    site: Site,
) -> None:
    order_id = site.arm().report.order_id
    site.inject(order_id)
    site.node.start(API)
    site.orders.advance()
    assert not site.report().bitten
    site.run(0.1)
    assert site.report().bitten
    assert len(site.node.kills) == 2


def test_only_the_armed_pod_is_ever_killed(site: Site) -> None:
    order_id = site.arm().report.order_id
    site.node.start(API, pod_uid="e" * 32)
    site.inject(order_id)
    site.run(5)
    assert site.report().bitten
    assert [found.pod_uid for found in site.node.running[API]] == ["e" * 32]


def test_inject_works_once(site: Site) -> None:
    order_id = site.live()
    with refused(Code.ALREADY_INJECTED):
        site.inject(order_id)


def test_inject_only_shortly_after_arming(site: Site) -> None:
    order_id = site.arm().report.order_id
    site.clock.now += INJECT_WINDOW_S + 0.1
    with refused(Code.INJECT_TOO_LATE):
        site.inject(order_id)
    assert API in site.node.manifests


def test_inject_of_an_order_that_nobody_armed(site: Site) -> None:
    with refused(Code.UNKNOWN_ORDER):
        site.inject(str(uuid.uuid4()))


def test_a_manifest_that_was_changed_after_arming_is_not_taken(site: Site) -> None:
    order_id = site.arm().report.order_id
    site.node.manifests[API] = found_manifest(API, "a" * 64)
    with refused(Code.TARGET_ABSENT):
        site.inject(order_id)
    assert site.node.kills == []


def test_a_target_that_went_down_by_itself_is_not_called_a_bite(site: Site) -> None:
    order_id = site.arm().report.order_id
    site.node.running[API].clear()
    with refused(Code.TARGET_ABSENT):
        site.inject(order_id)


def test_kill_kills_once_and_is_over_when_a_new_process_runs(site: Site) -> None:
    before = [found.info for found in site.node.processes(API)]
    order_id = site.arm(fault=fault(kind=FaultKind.KILL)).report.order_id
    site.node.kubelet_runs = False
    site.inject(order_id)
    site.run(3)
    assert site.report().bitten
    site.orders.undo(order_id)
    site.run(5)
    assert site.report().phase is Phase.UNDOING, "nothing runs again yet"
    site.node.kubelet_runs = True
    site.run(2)
    assert site.report().phase is Phase.UNDONE
    assert site.node.kills == before
    assert site.node.placed == []
