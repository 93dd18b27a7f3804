"""A node's disk: what was not synced is lost when the power is cut, and it can be full."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path


class Disk:
    """`guard.world.Disk`. `cached` is what processes see, `durable` what a power cut leaves."""

    def __init__(self) -> None:
        self.cached: dict[Path, bytes] = {}
        self.durable: dict[Path, bytes] = {}
        self.full = False
        self.loses_orders = False
        """Writes of the live order succeed, and nothing of them is there."""
        self.before_write: Callable[[], None] = lambda: None
        self.after_write: Callable[[], None] = lambda: None

    def read(self, path: Path) -> bytes | None:
        return self.cached.get(path)

    def replace(self, path: Path, data: bytes, *, durable: bool = True) -> None:
        self.before_write()
        self.refuse_when_full()
        if self.loses_orders and path.name == "order.json":
            return
        self.cached[path] = data
        if durable:
            self.durable[path] = data
        self.after_write()

    def append(self, path: Path, line: bytes) -> None:
        self.before_write()
        self.refuse_when_full()
        self.cached[path] = self.cached.get(path, b"") + line
        self.durable[path] = self.cached[path]
        self.after_write()

    def remove(self, path: Path) -> None:
        self.before_write()
        self.cached.pop(path, None)
        self.durable.pop(path, None)
        self.after_write()

    def refuse_when_full(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")

    def power_cut(self) -> None:
        self.cached = dict(self.durable)
