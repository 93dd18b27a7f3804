"""The dead-man switch, restarts and boots. Time is moved, never waited for."""

from __future__ import annotations

import pytest

from guard.protocol import (
    DEADLINE_MARGIN_S,
    Code,
    Component,
    Phase,
    UndoReason,
)
from tests.guard.world import STATE, Site, fault, refused

API = Component.KUBE_APISERVER
ORDER_FILE = STATE / "order.json"


def test_row_19_without_renewal_the_lease_ends_in_an_undo(site: Site) -> None:
    site.live()
    site.run(44)
    assert site.report().phase is Phase.INJECTED
    site.run(3)
    report = site.report()
    assert (report.phase, report.undo_reason) == (Phase.UNDONE, UndoReason.LEASE)


def test_an_armed_order_that_nobody_renews_is_disarmed(site: Site) -> None:
    site.arm()
    site.run(46)
    assert site.report().phase is Phase.UNDONE
    assert site.node.kills == []


def test_renewals_carry_it_to_the_hard_deadline_and_no_further(site: Site) -> None:
    order_id = site.live(fault=fault(hold_s=60))
    for _ in range(int(60 + DEADLINE_MARGIN_S) // 2 - 1):
        site.run(2)
        site.renew(order_id)
    assert site.report().phase is Phase.INJECTED
    site.run(4)
    report = site.report()
    assert (report.phase, report.undo_reason) == (Phase.UNDONE, UndoReason.DEADLINE)


def test_a_renewal_does_not_bring_back_what_is_being_undone(site: Site) -> None:
    order_id = site.live()
    site.orders.undo(order_id)
    assert site.renew(order_id).phase is Phase.UNDOING


def test_row_22_a_guard_that_was_stopped_undoes_before_it_hears_a_late_renewal(site: Site) -> None:
    order_id = site.live()
    site.clock.now += 300
    report = site.renew(order_id)
    assert (report.phase, report.undo_reason) == (Phase.UNDOING, UndoReason.DEADLINE)


def test_row_22_a_late_inject_after_a_stop_breaks_nothing(site: Site) -> None:
    order_id = site.arm().report.order_id
    site.clock.now += 300
    with refused(Code.TOMBSTONE):
        site.inject(order_id)
    assert API in site.node.manifests


def test_row_24_the_wall_clock_moves_no_deadline(site: Site) -> None:
    order_id = site.live()
    site.clock.date = "2031-01-01T00:00:00Z"
    site.run(40)
    assert site.report().phase is Phase.INJECTED
    site.clock.date = "1999-01-01T00:00:00Z"
    assert site.orders.undo(order_id).phase is Phase.UNDOING
    site.run(2)
    assert site.report().phase is Phase.UNDONE


def test_row_21_ten_restarts_in_a_row_change_nothing(site: Site) -> None:
    order_id = site.live()
    left = site.report().lease_left_s
    for _ in range(10):
        site.restart()
        site.orders.advance()
    report = site.report()
    assert (report.order_id, report.phase, report.bitten) == (order_id, Phase.INJECTED, True)
    assert report.lease_left_s == pytest.approx(left, abs=0.5), "a restart grants no new lease"


def test_row_21_the_lease_goes_on_from_the_last_renewal(site: Site) -> None:
    order_id = site.live()
    site.run(30)
    site.renew(order_id)
    site.run(5)
    site.restart()
    assert site.report().lease_left_s == pytest.approx(40, abs=0.5)
    site.run(42)
    assert site.report().undo_reason is UndoReason.LEASE


def test_row_21_a_crash_between_intent_and_effect_is_undone(site: Site) -> None:
    order_id = site.arm().report.order_id
    site.inject(order_id)
    site.restart()
    report = site.report()
    assert (report.phase, report.undo_reason) == (Phase.UNDOING, UndoReason.CRASH)
    site.run(3)
    assert site.report().phase is Phase.UNDONE
    assert API in site.node.manifests


def test_a_crash_before_the_effect_finds_nothing_to_put_back(site: Site) -> None:
    order_id = site.arm().report.order_id
    kept = site.node.manifests[API]
    site.inject(order_id)
    # As if the process had died between the journalled intent and the rename.
    site.node.manifests[API] = kept
    site.node.stash.clear()
    site.node.kubelet()
    site.restart()
    site.run(2)
    assert site.report().phase is Phase.UNDONE
    assert site.node.placed == []


def test_row_21_an_undo_in_progress_goes_on(site: Site) -> None:
    order_id = site.live()
    site.node.kubelet_runs = False
    site.orders.undo(order_id)
    site.restart()
    site.node.kubelet_runs = True
    site.run(2)
    assert site.report().phase is Phase.UNDONE
    assert site.report().undo_reason is UndoReason.REQUESTED


@pytest.mark.parametrize("injected", [False, True])
def test_row_23_a_new_boot_undoes_everything_that_was_live(site: Site, injected: bool) -> None:
    if injected:
        site.live()
    else:
        site.arm()
    site.reboot()
    site.run(3)
    report = site.report()
    assert (report.phase, report.undo_reason) == (Phase.UNDONE, UndoReason.BOOT)
    assert API in site.node.manifests
    assert site.node.running[API]


def test_row_23_nodes_that_share_a_boot_id_are_told_apart_by_their_first_process(
    site: Site,
) -> None:
    site.live()
    site.reboot()
    site.node.boot_now = type(site.node.boot_now)(boot_id="one", init_started_ticks=99)
    site.restart()
    site.run(3)
    assert site.report().phase is Phase.UNDONE


def test_a_session_ends_with_its_process(site: Site) -> None:
    order_id = site.arm().report.order_id
    old = site.orders.session
    site.restart()
    with refused(Code.STALE_SESSION):
        site.arm(session=old)
    assert site.inject(order_id).phase is Phase.INJECTING, "said anew, with the new session"


@pytest.mark.parametrize("damage", [b"", b"{", b'{"sha256": "0", "order": {}}', b"\xff\x00"])
def test_a_damaged_journal_still_gives_the_manifest_back(site: Site, damage: bytes) -> None:
    site.live()
    site.disk.files[ORDER_FILE] = damage
    site.restart()
    assert API in site.node.manifests
    assert site.node.stashed_orders() == []


def test_a_recipe_that_was_tampered_with_is_not_believed(site: Site) -> None:
    site.live()
    site.disk.files[ORDER_FILE] = site.disk.files[ORDER_FILE].replace(
        b'"hold_s": 60', b'"hold_s": 600'
    )
    site.restart()
    assert site.orders.report() is None
    assert API in site.node.manifests
