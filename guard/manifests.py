"""Static-pod manifests: looked at, moved into the stash, moved back, swapped.

Never edited in place, and never made from what came over the wire.

The kubelet runs every file in the manifests directory whose name does not begin with a dot, so
copies lie in the stash beside it. Both are on one mount: a rename moves the very same file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
from pathlib import Path

from guard.disk import sync_directory, write_file
from guard.protocol import ORDER_ID, Component, ManifestInfo
from guard.world import FoundManifest

MAX_MANIFEST_BYTES = 1024 * 1024


class Manifests:
    """The manifests directory and the stash of one node."""

    def __init__(self, directory: Path, stash: Path) -> None:
        self._directory = directory
        self._stash = stash

    def look(self, component: Component) -> FoundManifest | None:
        return self._look(self._file(component))

    def read_text(self, component: Component) -> str | None:
        """The text of the manifest for reading addresses from it; None when there is none."""
        try:
            return self._file(component).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def stash_copy(self, order_id: str, component: Component, expect: ManifestInfo) -> None:
        source = self._file(component)
        folder = self._folder(order_id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._stash.chmod(0o700)
        copy = folder / f"{component}.yaml.copy"
        write_file(copy, source.read_bytes())
        _dress(copy, source.stat())
        for directory in (folder, self._stash, self._stash.parent):
            sync_directory(directory)
        stored = self._look(copy)
        if stored is None or not _same(stored.info, expect):
            raise OSError(f"{copy} is not the manifest that was armed; was it being edited?")

    def take(self, order_id: str, component: Component, expect: ManifestInfo) -> None:
        source, away = self._file(component), self._folder(order_id) / f"{component}.yaml"
        found = self._look(source)
        if found is None or not _same(found.info, expect):
            raise OSError(f"{source} is not the file that was armed any more")
        source.rename(away)

    def place(self, order_id: str, component: Component, expect: ManifestInfo) -> None:
        folder, target = self._folder(order_id), self._file(component)
        away, copy = folder / f"{component}.yaml", folder / f"{component}.yaml.copy"
        source = away if self._is(away, expect) else copy
        if not self._is(source, expect):
            raise OSError(
                f"neither {away} nor {copy} is the manifest with SHA-256 {expect.sha256};"
                " put it back by hand"
            )
        _move_without_clobbering(source, target)
        sync_directory(self._directory)
        if not self._is(target, expect):
            raise OSError(f"{target} is not as it was before: owner, mode or bytes differ")
        away.unlink(missing_ok=True)

    def text(self, component: Component) -> str:
        """The whole text; OSError when there is none, or it is no text."""
        try:
            return self._file(component).read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise OSError(f"{self._file(component)} is no UTF-8 text: {error}") from error

    def flag_copy(self, order_id: str, component: Component, text: bytes) -> ManifestInfo:
        folder, place = self._folder(order_id), self._file(component)
        aside = folder / f"{component}.yaml.flagged"
        write_file(aside, text)
        _dress(aside, place.stat())
        sync_directory(folder)
        found = self._look(aside)
        if found is None:
            raise OSError(f"{aside} is not there after it was written")
        return dataclasses.replace(found.info, path=str(place))

    def swap(
        self, order_id: str, component: Component, expect: ManifestInfo, *, flag: bool
    ) -> None:
        """The kubelet sees one change: a removal in between would cost it a mirror pod."""
        folder, place = self._folder(order_id), self._file(component)
        source = folder / f"{component}.yaml.{'flagged' if flag else 'copy'}"
        # A copy of the copy: what lies in the stash stays there until the undo was seen.
        aside = folder / f"{component}.yaml.next"
        facts = source.stat()
        write_file(aside, source.read_bytes())
        _dress(aside, facts)
        if not self._is(place, expect):
            raise OSError(f"{place} is not the file that it should be any more")
        aside.replace(place)
        sync_directory(self._directory)

    def drop_stash(self, order_id: str) -> None:
        folder = self._folder(order_id)
        if folder.exists():
            # A folder of files, all of them ours: `shutil` would bring three compressors along.
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
            sync_directory(self._stash)

    def stashed_orders(self) -> list[str]:
        try:
            return sorted(e.name for e in self._stash.iterdir() if ORDER_ID.match(e.name))
        except FileNotFoundError:
            return []

    def adopt_stash(self, order_id: str) -> list[str]:
        put_back = []
        for away in sorted(self._folder(order_id).glob("*.yaml")):
            target = self._directory / away.name
            if not os.path.lexists(target):
                _move_without_clobbering(away, target)
                sync_directory(self._directory)
                put_back.append(str(target))
        for flagged in sorted(self._folder(order_id).glob("*.yaml.flagged")):
            component = Component(flagged.name.removesuffix(".yaml.flagged"))
            ours = self._look(flagged)
            if ours is not None and self._is(self._file(component), ours.info):
                self.swap(order_id, component, ours.info, flag=False)
                put_back.append(str(self._file(component)))
        return put_back

    def _file(self, component: Component) -> Path:
        return self._directory / f"{component}.yaml"

    def _folder(self, order_id: str) -> Path:
        if not ORDER_ID.match(order_id):
            raise ValueError(f"{order_id!r} is no order id")
        return self._stash / order_id

    def _is(self, path: Path, expect: ManifestInfo) -> bool:
        found = self._look(path)
        return found is not None and _same(found.info, expect)

    def _look(self, path: Path) -> FoundManifest | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(f"{path} is not a regular file")
            if found.st_size > MAX_MANIFEST_BYTES:
                raise OSError(f"{path} has {found.st_size} bytes; more than any manifest")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read()
        finally:
            os.close(descriptor)
        info = ManifestInfo(
            path=str(path),
            sha256=hashlib.sha256(content).hexdigest(),
            mode=stat.S_IMODE(found.st_mode),
            uid=found.st_uid,
            gid=found.st_gid,
        )
        return FoundManifest(info=info, mtime_ns=found.st_mtime_ns)


def _same(one: ManifestInfo, other: ManifestInfo) -> bool:
    """The same file content, owner and mode, wherever it lies."""
    return (one.sha256, one.mode, one.uid, one.gid) == (
        other.sha256,
        other.mode,
        other.uid,
        other.gid,
    )


def _dress(path: Path, like: os.stat_result) -> None:
    """Give a copy the owner, mode and times of what it is a copy of."""
    os.chown(path, like.st_uid, like.st_gid)
    path.chmod(stat.S_IMODE(like.st_mode))
    os.utime(path, ns=(like.st_atime_ns, like.st_mtime_ns))


def _move_without_clobbering(source: Path, target: Path) -> None:
    """Give the file its name back only if nobody else took it; FileExistsError otherwise.

    `rename` would silently replace a file that a person put there; `link` does not.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links: the small window is all that is left to us.
        if os.path.lexists(target):
            raise FileExistsError(f"{target} exists") from None
        source.rename(target)
