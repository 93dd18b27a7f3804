"""The same file comes back: bytes, owner, mode. Nobody's file is overwritten."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest

from guard.manifests import Manifests
from guard.protocol import Component, ManifestInfo

ETCD = Component.ETCD
TEXT = b"kind: Pod\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "manifests").mkdir()
    file = tmp_path / "manifests/etcd.yaml"
    file.write_bytes(TEXT)
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 1234, 2345)
    return tmp_path


@pytest.fixture
def manifests(folder: Path) -> Manifests:
    return Manifests(folder / "manifests", folder / ".belay-stash")


@pytest.fixture
def order_id() -> str:
    return str(uuid.uuid4())


def look(manifests: Manifests) -> ManifestInfo:
    found = manifests.look(ETCD)
    assert found is not None
    return found.info


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "manifests").iterdir())


def test_away_and_back_is_the_very_same_file(
    manifests: Manifests, folder: Path, order_id: str
) -> None:
    before, facts = look(manifests), (folder / "manifests/etcd.yaml").stat()
    manifests.stash_copy(order_id, ETCD, before)
    manifests.take(order_id, ETCD, before)
    assert names(folder) == []
    manifests.place(order_id, ETCD, before)
    after = (folder / "manifests/etcd.yaml").stat()
    assert look(manifests) == before
    assert (after.st_ino, after.st_mtime_ns) == (facts.st_ino, facts.st_mtime_ns)
    assert names(folder) == ["etcd.yaml"]
    manifests.drop_stash(order_id)
    assert manifests.stashed_orders() == []


def test_a_lost_original_is_restored_from_the_copy(
    manifests: Manifests, folder: Path, order_id: str
) -> None:
    before = look(manifests)
    mtime = (folder / "manifests/etcd.yaml").stat().st_mtime_ns
    manifests.stash_copy(order_id, ETCD, before)
    manifests.take(order_id, ETCD, before)
    (folder / ".belay-stash" / order_id / "etcd.yaml").unlink()
    manifests.place(order_id, ETCD, before)
    manifests.drop_stash(order_id)
    assert look(manifests) == before
    assert (folder / "manifests/etcd.yaml").stat().st_mtime_ns == mtime


def test_a_stash_that_was_tampered_with_is_not_placed(
    manifests: Manifests, folder: Path, order_id: str
) -> None:
    before = look(manifests)
    manifests.stash_copy(order_id, ETCD, before)
    manifests.take(order_id, ETCD, before)
    for file in (folder / ".belay-stash" / order_id).iterdir():
        file.write_bytes(b"kind: Trojan\n")
    with pytest.raises(OSError, match="by hand"):
        manifests.place(order_id, ETCD, before)
    assert names(folder) == []


def test_a_file_of_somebody_else_stays(manifests: Manifests, folder: Path, order_id: str) -> None:
    before = look(manifests)
    manifests.stash_copy(order_id, ETCD, before)
    manifests.take(order_id, ETCD, before)
    theirs = folder / "manifests/etcd.yaml"
    theirs.write_bytes(b"theirs\n")
    with pytest.raises(FileExistsError):
        manifests.place(order_id, ETCD, before)
    assert theirs.read_bytes() == b"theirs\n"


def test_a_file_that_changed_since_is_not_taken(
    manifests: Manifests, folder: Path, order_id: str
) -> None:
    before = look(manifests)
    manifests.stash_copy(order_id, ETCD, before)
    (folder / "manifests/etcd.yaml").write_bytes(b"newer\n")
    with pytest.raises(OSError, match="not the file that was armed"):
        manifests.take(order_id, ETCD, before)
    assert names(folder) == ["etcd.yaml"]


def test_without_hard_links_it_still_neither_loses_nor_clobbers(
    manifests: Manifests, folder: Path, order_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise PermissionError("no hard links here")

    monkeypatch.setattr(os, "link", no_links)
    before = look(manifests)
    manifests.stash_copy(order_id, ETCD, before)
    manifests.take(order_id, ETCD, before)
    theirs = folder / "manifests/etcd.yaml"
    theirs.write_bytes(b"theirs\n")
    with pytest.raises(FileExistsError):
        manifests.place(order_id, ETCD, before)
    theirs.unlink()
    manifests.place(order_id, ETCD, before)
    assert look(manifests) == before


def test_the_stash_is_beside_the_manifests_and_closed_to_others(
    manifests: Manifests, folder: Path, order_id: str
) -> None:
    manifests.stash_copy(order_id, ETCD, look(manifests))
    stash = folder / ".belay-stash"
    assert stash.stat().st_mode & 0o777 == 0o700
    assert names(folder) == ["etcd.yaml"]


def test_what_is_no_plain_file_is_refused(manifests: Manifests, folder: Path) -> None:
    file = folder / "manifests/etcd.yaml"
    file.unlink()
    file.symlink_to("/etc/passwd")
    with pytest.raises(OSError, match=r"."):
        manifests.look(ETCD)
    file.unlink()
    file.mkdir()
    with pytest.raises(OSError, match="not a regular file"):
        manifests.look(ETCD)


@pytest.mark.parametrize("order_id", ["..", "../x", "", "a/b"])
def test_an_order_id_never_becomes_a_path(manifests: Manifests, order_id: str) -> None:
    with pytest.raises(ValueError, match="no order id"):
        manifests.drop_stash(order_id)


def test_an_orphaned_stash_is_put_back_only_where_nothing_stands(
    manifests: Manifests, folder: Path, order_id: str
) -> None:
    before = look(manifests)
    manifests.stash_copy(order_id, ETCD, before)
    assert manifests.adopt_stash(order_id) == [], "it was never taken"
    manifests.take(order_id, ETCD, before)
    assert manifests.adopt_stash(order_id) == [str(folder / "manifests/etcd.yaml")]
    assert look(manifests) == before
