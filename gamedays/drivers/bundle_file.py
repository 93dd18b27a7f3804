"""The break-glass file: where a cluster's guards are, their pins, and keys that only undo.

Plain JSON, mode 0600. It needs no database to be read and no Belay to be used.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = 1


class BundleError(Exception):
    """The file cannot be used; the text says why, and what to do."""


@dataclass(frozen=True, kw_only=True)
class GuardEntry:
    """One guard, and the credential that opens hello, status and undo on it, and nothing more."""

    node: str
    address: str
    port: int
    pin_pem: str
    undo_certificate_pem: str
    undo_key_pem: str

    def __repr__(self) -> str:
        return f"GuardEntry(node={self.node!r}, address={self.address!r}, …)"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    cluster: str
    cluster_uid: str
    made_at: str
    """RFC 3339, UTC; for people."""
    made_by: str
    guards: list[GuardEntry]


def write_bundle(path: Path, bundle: Bundle) -> str:
    """Write it whole or not at all, readable by its owner alone; returns its SHA-256.

    Raises:
        BundleError: the place cannot be written.
    """
    data = {"belay_bundle": FORMAT, **dataclasses.asdict(bundle)}
    text = json.dumps(data, indent=1) + "\n"
    try:
        # mkstemp makes it 0600 from the first moment, whatever the umask says.
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BundleError(f"{path} cannot be written: {error.strerror}.") from error
    return sha256_of(text)


def read_bundle(path: Path) -> Bundle:
    """The bundle in a file.

    Raises:
        BundleError: it cannot be read, or is none.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise BundleError(f"{path} is no bundle: {error}.") from error
    if not isinstance(data, dict) or data.pop("belay_bundle", None) != FORMAT:
        raise BundleError(
            f"{path} is no bundle of format {FORMAT}: make one with `belay cluster bundle`."
        )
    try:
        guards = [GuardEntry(**entry) for entry in data.pop("guards")]
        return Bundle(**data, guards=guards)
    except (TypeError, KeyError) as error:
        raise BundleError(f"{path} is not whole: {error}.") from error


def is_private(path: Path) -> bool:
    """Whether only its owner may read or write it."""
    return path.stat().st_mode & 0o077 == 0


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
