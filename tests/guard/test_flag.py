"""A wrong flag in a static pod's manifest, and the original's return: three-way on bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from guard.flags import CLOSED, FLAGS, with_flag
from guard.manifests import Manifests
from guard.protocol import BadFlag, Code, Component, Fault, FaultKind, Phase, UndoReason
from guard.world import RefusedError
from tests.guard.world import FLAGGED_POD, Site, found_manifest, manifest_text, policy

API = Component.KUBE_APISERVER
ELSEWHERE = Fault(kind=FaultKind.FLAG, hold_s=60, flag=BadFlag.ETCD_ELSEWHERE)
KUBEADM = """\
apiVersion: v1
kind: Pod
spec:
  containers:
  - command:
    - kube-apiserver
    - --advertise-address=10.0.0.1
    - --etcd-servers=https://127.0.0.1:2379
    image: belay.local/kube-apiserver:v1.36.3
"""


# -- the text -------------------------------------------------------------------------------


def test_a_flag_that_is_there_gets_another_value_and_nothing_else_changes() -> None:
    text = with_flag(KUBEADM, FLAGS[BadFlag.ETCD_ELSEWHERE])
    assert text == KUBEADM.replace("https://127.0.0.1:2379", CLOSED)


def test_an_unknown_flag_comes_right_after_the_command() -> None:
    text = with_flag(KUBEADM, FLAGS[BadFlag.UNKNOWN_APISERVER_FLAG])
    assert text.splitlines()[5:7] == ["    - kube-apiserver", "    - --belay-unknown=1"]
    assert text.replace("    - --belay-unknown=1\n", "") == KUBEADM


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("", BadFlag.ETCD_ELSEWHERE),
        (KUBEADM.replace("    - --etcd", "    - x --etcd"), BadFlag.ETCD_ELSEWHERE),
        (KUBEADM + "    - --etcd-servers=https://10.0.0.2:2379\n", BadFlag.ETCD_ELSEWHERE),
        (KUBEADM, BadFlag.UNKNOWN_SCHEDULER_FLAG),
        (KUBEADM + "    - kube-apiserver\n", BadFlag.UNKNOWN_APISERVER_FLAG),
        (KUBEADM + "    - --belay-unknown=1\n", BadFlag.UNKNOWN_APISERVER_FLAG),
    ],
)
def test_a_manifest_of_another_shape_is_not_guessed_at(text: str, flag: BadFlag) -> None:
    with pytest.raises(ValueError, match=r"stands on|there already"):
        with_flag(text, FLAGS[flag])


@pytest.mark.parametrize("flag", BadFlag)
def test_every_word_of_the_protocol_has_its_text(flag: BadFlag) -> None:
    assert with_flag(manifest_text(FLAGS[flag].component), FLAGS[flag])


# -- the order ------------------------------------------------------------------------------


def test_the_changed_manifest_stands_there_and_the_old_process_was_seen_gone(site: Site) -> None:
    before = [found.info for found in site.node.processes(API)]
    order_id = site.live(fault=ELSEWHERE)
    report = site.report()
    assert (report.component, report.processes_before) == (API, before)
    flagged = hashlib.sha256(
        with_flag(manifest_text(API), FLAGS[BadFlag.ETCD_ELSEWHERE]).encode()
    ).hexdigest()
    assert site.node.manifests[API].info.sha256 == flagged
    assert site.node.kills == before
    assert order_id in site.node.copies


def test_the_undo_gives_the_original_back_and_waits_for_its_own_pod(site: Site) -> None:
    order_id = site.live(fault=ELSEWHERE)
    site.run(5)
    assert [one.pod_uid for one in site.node.running[API]] == [FLAGGED_POD]
    site.orders.undo(order_id)
    site.run(0.1, kubelet=False)
    assert site.node.manifests[API] == found_manifest(API)
    assert site.report().phase is Phase.UNDOING, "only the pod with the bad flag ran"
    site.run(2)
    assert site.report().phase is Phase.UNDONE
    assert site.node.stashed_orders() == []


def test_a_pod_with_the_bad_flag_that_lingers_is_no_recovery_and_is_ended(site: Site) -> None:
    order_id = site.live(fault=ELSEWHERE)
    site.run(2)
    lingering = [one.info for one in site.node.running[API]]
    site.node.flagged_lingers = True
    site.orders.undo(order_id)
    site.run(2)
    assert site.report().phase is Phase.UNDONE
    assert set(lingering) <= set(site.node.kills)


def test_somebody_elses_manifest_is_not_clobbered(site: Site) -> None:
    order_id = site.live(fault=ELSEWHERE)
    site.node.manifests[API] = found_manifest(API, "b" * 64)
    site.run(1)
    assert site.report().undo_reason is UndoReason.REVERTED
    site.orders.undo(order_id)
    site.run(300)
    assert site.report().phase is Phase.STUCK
    assert site.node.manifests[API].info.sha256 == "b" * 64
    assert site.orders.keep_manifest()
    assert site.report().phase is Phase.UNDONE


def test_an_original_that_somebody_put_back_is_only_marked(site: Site) -> None:
    site.live(fault=ELSEWHERE)
    site.node.manifests[API] = found_manifest(API)
    kills = len(site.node.kills)
    site.run(5)
    assert (site.report().phase, site.report().undo_reason) == (Phase.UNDONE, UndoReason.REVERTED)
    assert len(site.node.kills) == kills
    assert site.node.placed == []


def test_a_manifest_that_somebody_took_away_comes_back_as_the_original(site: Site) -> None:
    order_id = site.live(fault=ELSEWHERE)
    del site.node.manifests[API]
    site.orders.undo(order_id)
    site.run(5)
    assert site.report().phase is Phase.UNDONE
    assert site.node.manifests[API] == found_manifest(API)


def test_a_crash_between_intent_and_effect_finds_the_original(site: Site) -> None:
    order_id = site.arm(fault=ELSEWHERE).report.order_id
    site.inject(order_id)
    site.node.manifests[API] = found_manifest(API)
    site.restart()
    site.run(3)
    assert (site.report().phase, site.report().undo_reason) == (Phase.UNDONE, UndoReason.CRASH)
    assert site.node.manifests[API] == found_manifest(API)


def test_a_new_boot_gives_the_original_back(site: Site) -> None:
    site.live(fault=ELSEWHERE)
    site.reboot()
    site.run(3)
    assert (site.report().phase, site.report().undo_reason) == (Phase.UNDONE, UndoReason.BOOT)
    assert site.node.manifests[API] == found_manifest(API)


def test_a_damaged_journal_still_gives_the_original_back(site: Site) -> None:
    site.live(fault=ELSEWHERE)
    site.disk.files[next(p for p in site.disk.files if p.name == "order.json")] = b"{"
    site.restart()
    assert site.node.manifests[API] == found_manifest(API)
    assert site.node.stashed_orders() == []


def test_a_disk_that_refuses_is_tried_again_for_ever(site: Site) -> None:
    order_id = site.live(fault=ELSEWHERE)
    site.node.place_fails = "No space left on device"
    site.orders.undo(order_id)
    site.run(300)
    assert site.report().phase is Phase.STUCK
    assert "No space left" in site.report().detail
    site.node.place_fails = ""
    site.run(35)
    assert site.report().phase is Phase.UNDONE


def test_a_full_disk_arms_nothing(site: Site) -> None:
    site.disk.full = True
    with pytest.raises(RefusedError, check=lambda error: error.code is Code.DISK):
        site.arm(fault=ELSEWHERE)
    assert site.node.stashed_orders() == []


def test_a_component_that_the_node_does_not_allow_is_refused_for_its_flag_too(site: Site) -> None:
    site.policy = policy(components=[Component.ETCD])
    site.restart()
    with pytest.raises(RefusedError, check=lambda error: error.code is Code.UNKNOWN_FAULT):
        site.arm(fault=ELSEWHERE)


def test_a_manifest_of_another_shape_is_refused_at_arming(site: Site) -> None:
    site.node.texts[API] = '{"kind": "Pod"}'
    with pytest.raises(RefusedError, match="another shape"):
        site.arm(fault=ELSEWHERE)
    assert site.node.stashed_orders() == []


# -- the disk -------------------------------------------------------------------------------

ORDER = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def files(tmp_path: Path) -> Manifests:
    (tmp_path / "manifests").mkdir()
    manifest = tmp_path / "manifests/kube-apiserver.yaml"
    manifest.write_text(KUBEADM, encoding="ascii")
    manifest.chmod(0o600)
    return Manifests(tmp_path / "manifests", tmp_path / "stash")


def flagged(files: Manifests) -> tuple[str, str]:
    """Put the changed manifest there; the hashes of the original and of ours."""
    found = files.look(API)
    assert found is not None
    files.stash_copy(ORDER, API, found.info)
    text = with_flag(files.text(API), FLAGS[BadFlag.ETCD_ELSEWHERE])
    ours = files.flag_copy(ORDER, API, text.encode())
    files.swap(ORDER, API, found.info, flag=True)
    now = files.look(API)
    assert now is not None
    assert now.info == ours, "owner, mode and name are the original's"
    return found.info.sha256, ours.sha256


def test_on_disk_the_original_returns_with_bytes_mode_owner_and_times(
    files: Manifests, tmp_path: Path
) -> None:
    before, stamp = files.look(API), (tmp_path / "manifests/kube-apiserver.yaml").stat()
    flagged(files)
    now = files.look(API)
    assert now is not None
    files.swap(ORDER, API, now.info, flag=False)
    assert files.look(API) == before
    assert (tmp_path / "manifests/kube-apiserver.yaml").stat().st_mtime_ns == stamp.st_mtime_ns
    assert [one.name for one in (tmp_path / "manifests").iterdir()] == ["kube-apiserver.yaml"]


def test_on_disk_a_manifest_that_was_edited_meanwhile_is_not_replaced(
    files: Manifests, tmp_path: Path
) -> None:
    flagged(files)
    ours = files.look(API)
    assert ours is not None
    manifest = tmp_path / "manifests/kube-apiserver.yaml"
    manifest.write_text("mine", encoding="ascii")
    with pytest.raises(OSError, match="not the file"):
        files.swap(ORDER, API, ours.info, flag=False)
    assert manifest.read_text(encoding="ascii") == "mine"


def test_on_disk_an_orphaned_stash_gives_the_original_back_only_for_ours(
    files: Manifests, tmp_path: Path
) -> None:
    before, _ = flagged(files)
    manifest = tmp_path / "manifests/kube-apiserver.yaml"
    assert files.adopt_stash(ORDER) == [str(manifest)]
    assert hashlib.sha256(manifest.read_bytes()).hexdigest() == before
    manifest.write_text("mine", encoding="ascii")
    assert files.adopt_stash(ORDER) == []
    assert manifest.read_text(encoding="ascii") == "mine"
