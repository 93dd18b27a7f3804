"""What is written is there after a power cut; what could not be written leaves no trace."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from guard.disk import NodeDisk
from guard.journal import Journal
from tests.guard.world import Site


@pytest.fixture
def disk() -> NodeDisk:
    return NodeDisk()


def test_replace_is_whole_private_and_leaves_nothing_beside(disk: NodeDisk, tmp_path: Path) -> None:
    path = tmp_path / "order.json"
    disk.replace(path, b"one")
    disk.replace(path, b"two")
    assert disk.read(path) == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_not_there_is_none(disk: NodeDisk, tmp_path: Path) -> None:
    assert disk.read(tmp_path / "nothing") is None
    disk.remove(tmp_path / "nothing")


def test_file_and_directory_are_synced_before_it_returns(
    disk: NodeDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def note(descriptor: int) -> None:
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        synced.append(kind)

    monkeypatch.setattr(os, "fsync", note)
    disk.replace(tmp_path / "a", b"x")
    assert synced == ["file", "directory"]
    synced.clear()
    disk.append(tmp_path / "b", b"x\n")
    assert synced == ["file", "directory"]
    synced.clear()
    disk.replace(tmp_path / "lease", b"x", durable=False)
    assert synced == []


def full_after(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes `limit` more bytes, and then says that it is full."""
    real, left = os.write, [limit]

    def write(descriptor: int, data: bytes) -> int:
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = real(descriptor, bytes(data)[: left[0]])
        left[0] -= taken
        return taken

    monkeypatch.setattr(os, "write", write)


def test_row_25_a_disk_that_fills_up_in_mid_write_keeps_the_old_record(
    disk: NodeDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "order.json"
    disk.replace(path, b"old")
    with monkeypatch.context() as patch:
        full_after(2, patch)
        with pytest.raises(OSError, match="No space"):
            disk.replace(path, b"newer")
    assert disk.read(path) == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_half_a_tombstone_does_not_swallow_the_next(
    disk: NodeDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tombstones"
    with monkeypatch.context() as patch:
        full_after(5, patch)
        with pytest.raises(OSError, match="No space"):
            disk.append(path, b"first-tombstone\n")
    disk.append(path, b"second\n")
    assert disk.read(path) == b"second\n"


def test_the_journal_reads_back_what_it_wrote(disk: NodeDisk, tmp_path: Path) -> None:
    site = Site()
    site.live()
    order = site.orders.order
    assert order is not None
    journal = Journal(disk, tmp_path)
    journal.save_order(order)
    journal.save_lease(order.order_id, 1234.5)
    journal.save_epoch(9)
    journal.bury(order.order_id)
    memory = Journal(disk, tmp_path).load()
    assert memory.order == order
    assert memory.renewed_boottime == 1234.5
    assert memory.epoch == 9
    assert memory.tombstones == {order.order_id}
    assert memory.damage == ""
    assert journal.stored_sha256() == order.recipe.sha256()


def test_the_lease_of_another_order_counts_for_nothing(disk: NodeDisk, tmp_path: Path) -> None:
    site = Site()
    site.live()
    order = site.orders.order
    assert order is not None
    journal = Journal(disk, tmp_path)
    journal.save_order(order)
    journal.save_lease("00000000-0000-0000-0000-000000000000", 9e9)
    assert journal.load().renewed_boottime is None


def test_damage_to_one_file_hides_no_other(disk: NodeDisk, tmp_path: Path) -> None:
    journal = Journal(disk, tmp_path)
    journal.save_epoch(4)
    (tmp_path / "order.json").write_bytes(b"\x00\x01")
    (tmp_path / "lease.json").write_bytes(b"[]")
    (tmp_path / "tombstones").write_bytes(b"\xff\n11111111-2222-3333-4444-555555555555\nhalf")
    memory = journal.load()
    assert memory.order is None
    assert "order.json" in memory.damage
    assert memory.epoch == 4
    assert memory.tombstones == {"11111111-2222-3333-4444-555555555555"}
