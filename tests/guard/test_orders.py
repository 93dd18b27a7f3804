"""The guard's rules, on a node that does what the test says. Time is moved, never waited for."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from guard.faults.static_pods import NUDGE_AFTER_S
from guard.protocol import (
    DEADLINE_MARGIN_S,
    INJECT_WINDOW_S,
    Code,
    Component,
    FaultKind,
    Phase,
    UndoReason,
)
from guard.world import RefusedError
from tests.guard.world import STATE, Site, fault, found_manifest, policy

API = Component.KUBE_APISERVER
ORDER_FILE = STATE / "order.json"


@pytest.fixture
def site() -> Site:
    return Site()


def refused(code: Code) -> pytest.RaisesExc[RefusedError]:
    return pytest.raises(RefusedError, check=lambda error: error.code is code)


# -- arming ---------------------------------------------------------------------------------


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


# -- injecting ------------------------------------------------------------------------------


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


# -- undoing --------------------------------------------------------------------------------


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


# -- the dead-man switch --------------------------------------------------------------------


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


# -- restarts and boots ---------------------------------------------------------------------


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


# -- a full disk ----------------------------------------------------------------------------


def test_row_25_on_a_full_disk_nothing_is_armed(site: Site) -> None:
    site.disk.full = True
    with refused(Code.DISK):
        site.arm()
    assert site.node.stashed_orders() == []
    site.disk.full = False
    site.arm()


def test_row_25_on_a_disk_that_fills_up_after_arming_nothing_is_injected(site: Site) -> None:
    order_id = site.arm().report.order_id
    site.disk.full = True
    with refused(Code.DISK):
        site.inject(order_id)
    assert API in site.node.manifests
    assert site.node.kills == []
    assert site.report().phase is Phase.ARMED


def test_row_25_an_undo_goes_on_with_a_full_disk(site: Site) -> None:
    order_id = site.live()
    site.disk.full = True
    site.orders.undo(order_id)
    site.run(3)
    assert site.report().phase is Phase.UNDONE
    assert API in site.node.manifests
    # What the disk did not take is written when there is room; until then nothing new is armed.
    with refused(Code.DISK):
        site.arm()
    site.disk.full = False
    site.run(1)
    assert order_id.encode() in site.disk.files[STATE / "tombstones"]
    site.arm()


def test_row_25_a_restart_with_a_full_disk_undoes_once_more_and_harms_nothing(site: Site) -> None:
    order_id = site.live()
    site.disk.full = True
    site.orders.undo(order_id)
    site.run(3)
    site.restart()
    site.run(60)
    assert site.report().phase is Phase.UNDONE
    assert site.node.placed == [API]


def test_a_wish_that_cannot_be_taken_now_is_done_all_the_same(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = site.live()
    # Somebody holds the lock: the wish is noted without it.
    monkeypatch.setattr("guard.orders.LOCK_WAIT_S", 0.0)
    monkeypatch.setattr(site.orders.changed, "acquire", lambda **_: False)
    with refused(Code.BUSY):
        site.orders.undo(order_id)
    site.run(3)
    assert site.report().undo_reason is UndoReason.REQUESTED
    assert site.report().phase is Phase.UNDONE


def test_paths_in_the_journal_are_only_its_own(site: Site) -> None:
    order_id = site.live()
    site.renew(order_id)
    site.orders.undo(order_id)
    site.run(2)
    names = {path.name for path in site.disk.files}
    assert {path.parent for path in site.disk.files} == {Path("/state")}
    assert names == {"order.json", "lease.json", "tombstones"}
