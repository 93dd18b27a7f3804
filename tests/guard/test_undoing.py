"""The way back, three-way and for ever. Time is moved, never waited for."""

from __future__ import annotations

import uuid

from guard.faults.static_pods import NUDGE_AFTER_S
from guard.protocol import (
    Code,
    Component,
    Phase,
    UndoReason,
)
from tests.guard.world import STATE, Site, found_manifest, refused

API = Component.KUBE_APISERVER
ORDER_FILE = STATE / "order.json"


def test_undo_puts_the_same_manifest_back_and_waits_for_a_new_process(site: Site) -> None:
    original = site.node.manifests[API]
    order_id = site.live()
    answer = site.orders.undo(order_id)
    assert answer.phase is Phase.UNDOING
    assert API not in site.node.manifests, "the answer does not wait for the work"
    site.run(0.1, kubelet=False)
    assert site.node.manifests[API] == original
    assert site.report().phase is Phase.UNDOING, "the manifest is back, no process runs"
    site.run(2)
    report = site.report()
    assert (report.phase, report.undo_reason) == (Phase.UNDONE, UndoReason.REQUESTED)
    assert site.node.stashed_orders() == []


def test_undo_may_be_repeated_for_ever(site: Site) -> None:
    order_id = site.live()
    for _ in range(5):
        site.orders.undo(order_id)
        site.run(1)
    assert site.orders.undo(order_id).phase is Phase.UNDONE
    assert site.node.placed == [API]


def test_undo_from_armed_is_the_disarming(site: Site) -> None:
    order_id = site.arm().report.order_id
    site.orders.undo(order_id)
    site.orders.advance()
    assert site.report().phase is Phase.UNDONE
    assert site.node.kills == []
    assert site.node.placed == []
    assert site.node.stashed_orders() == []


def test_the_old_container_must_be_gone_before_the_manifest_returns(site: Site) -> None:
    order_id = site.arm().report.order_id
    old = site.node.processes(API)[0].info.pid
    site.node.immortal = {old}
    site.inject(order_id)
    site.orders.undo(order_id)
    site.run(10)
    assert API not in site.node.manifests
    site.node.immortal.clear()
    site.run(2)
    assert site.report().phase is Phase.UNDONE


def test_a_process_that_cannot_die_does_not_keep_the_manifest_away(site: Site) -> None:
    order_id = site.arm().report.order_id
    site.node.immortal = {site.node.processes(API)[0].info.pid}
    site.inject(order_id)
    site.orders.undo(order_id)
    site.run(60)
    assert API in site.node.manifests
    assert site.report().phase is not Phase.UNDONE, "the old process is not a recovery"


def test_row_20_an_unknown_order_leaves_a_tombstone(site: Site) -> None:
    order_id = str(uuid.uuid4())
    assert site.orders.undo(order_id).phase is Phase.UNDONE
    with refused(Code.TOMBSTONE):
        site.arm(order_id=order_id)
    with refused(Code.TOMBSTONE):
        site.inject(order_id)
    site.restart()
    with refused(Code.TOMBSTONE):
        site.arm(order_id=order_id)


def test_row_20_a_power_cut_in_mid_tombstone_swallows_no_later_one(site: Site) -> None:
    """What was half written has no end of line; a file system may leave zeros there, too."""
    site.disk.files[STATE / "tombstones"] = b"0b5f8c1e-aaaa-4\0\0\0"
    order_id = str(uuid.uuid4())
    site.orders.undo(order_id)
    site.restart()
    with refused(Code.TOMBSTONE):
        site.arm(order_id=order_id)


def test_row_20_what_was_undone_is_refused_for_ever(site: Site) -> None:
    order_id = site.live()
    site.orders.undo(order_id)
    site.run(3)
    for _ in range(2):
        with refused(Code.TOMBSTONE):
            site.inject(order_id)
        with refused(Code.TOMBSTONE):
            site.arm(order_id=order_id)
        site.restart()


def test_row_32_a_file_of_somebody_else_is_not_clobbered(site: Site) -> None:
    order_id = site.live()
    site.node.kubelet_runs = False
    site.node.manifests[API] = found_manifest(API, "b" * 64)
    site.orders.undo(order_id)
    site.run(300)
    report = site.report()
    assert report.phase is Phase.STUCK
    assert "keep-manifest" in report.detail
    assert site.node.manifests[API].info.sha256 == "b" * 64
    # Taken away again: the original returns without anybody asking.
    del site.node.manifests[API]
    site.node.kubelet_runs = True
    site.run(5)
    assert site.report().phase is Phase.UNDONE
    assert site.node.manifests[API] == found_manifest(API)


def test_somebody_on_the_node_may_accept_the_other_file(site: Site) -> None:
    order_id = site.live()
    site.node.manifests[API] = found_manifest(API, "b" * 64)
    site.orders.undo(order_id)
    site.run(2)
    assert site.orders.keep_manifest()
    assert site.report().phase is Phase.UNDONE
    assert site.node.manifests[API].info.sha256 == "b" * 64
    assert site.node.stashed_orders() == []


def test_keep_manifest_does_nothing_to_an_order_that_is_not_stuck(site: Site) -> None:
    site.live()
    assert not site.orders.keep_manifest()
    assert site.report().phase is Phase.INJECTED


def test_row_33_somebody_else_put_it_back_and_is_not_fought(site: Site) -> None:
    order_id = site.live()
    site.node.manifests[API] = site.node.stash[order_id][API]
    site.run(10)
    report = site.report()
    assert (report.phase, report.undo_reason) == (Phase.UNDONE, UndoReason.REVERTED)
    assert len(site.node.kills) == 1
    assert site.node.placed == []


def test_row_27_one_nudge_then_stuck_and_still_done_at_last(site: Site) -> None:
    order_id = site.live()
    site.node.kubelet_runs = False
    site.orders.undo(order_id)
    site.run(NUDGE_AFTER_S - 1)
    assert site.node.placed == [API]
    site.run(600)
    assert site.node.placed == [API, API], "moved away and back once, never again"
    assert site.report().phase is Phase.STUCK
    assert "kubelet" in site.report().detail
    assert API in site.node.manifests
    site.node.kubelet_runs = True
    site.run(3)
    assert site.report().phase is Phase.UNDONE


def test_a_guard_that_dies_in_the_middle_of_a_nudge_puts_the_file_back(site: Site) -> None:
    order_id = site.live()
    site.node.kubelet_runs = False
    site.orders.undo(order_id)
    site.run(NUDGE_AFTER_S)
    while API in site.node.manifests:
        site.run(0.1)
    site.restart()
    site.node.kubelet_runs = True
    site.run(5)
    assert site.report().phase is Phase.UNDONE


def test_a_failing_disk_is_tried_again_for_ever_with_growing_pauses(site: Site) -> None:
    order_id = site.live()
    site.node.place_fails = "Input/output error"
    site.orders.undo(order_id)
    site.run(600)
    report = site.report()
    assert report.phase is Phase.STUCK
    assert "Input/output error" in report.detail
    assert 5 < report.undo_attempts < 40
    site.node.place_fails = ""
    site.run(35)
    assert site.report().phase is Phase.UNDONE


def test_asking_again_tries_again_at_once(site: Site) -> None:
    order_id = site.live()
    site.node.place_fails = "Input/output error"
    site.orders.undo(order_id)
    site.run(300)
    site.node.place_fails = ""
    site.orders.undo(order_id)
    site.run(1)
    assert site.report().phase is Phase.UNDONE


def test_undo_of_nonsense_is_refused_and_leaves_nothing(site: Site) -> None:
    with refused(Code.MALFORMED):
        site.orders.undo("x" * 10_000)
    assert STATE / "tombstones" not in site.disk.files
