"""The guard's memory on the node's disk: the live order, the lease, the epoch, the tombstones.

What must survive a power cut is fsynced with its directory before anybody is told about it. The
lease is not: a power cut is a new boot, and a new boot undoes everything anyway.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from guard.protocol import ORDER_ID
from guard.record import Order, order_from_json, order_to_json
from guard.world import Disk


@dataclass(frozen=True, kw_only=True)
class Remembered:
    """What a starting guard finds."""

    order: Order | None
    renewed_boottime: float | None
    epoch: int
    tombstones: frozenset[str]
    damage: str = ""
    """What could not be read; the stash is then all there is to go by."""


class Journal:
    """One file per fact, each replaced in one step."""

    def __init__(self, disk: Disk, state: Path) -> None:
        self._disk = disk
        self._order = state / "order.json"
        self._lease = state / "lease.json"
        self._epoch = state / "epoch.json"
        self._tombstones = state / "tombstones"
        self._mark = state / "drill"

    def load(self) -> Remembered:
        """Read everything. Damage to one file is named and does not hide the others."""
        damage: list[str] = []
        order = None
        try:
            raw = self._disk.read(self._order)
            order = None if raw is None else order_from_json(json.loads(raw))
        except (OSError, ValueError) as error:
            damage.append(f"{self._order}: {error}")
        epoch = 0
        try:
            raw = self._disk.read(self._epoch)
            epoch = 0 if raw is None else int(json.loads(raw)["epoch"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            damage.append(f"{self._epoch}: {error}")
        tombstones: frozenset[str] = frozenset()
        try:
            lines = (self._disk.read(self._tombstones) or b"").decode("ascii", "replace").split()
            tombstones = frozenset(line for line in lines if ORDER_ID.match(line))
        except OSError as error:
            damage.append(f"{self._tombstones}: {error}")
        return Remembered(
            order=order,
            renewed_boottime=self._load_lease(order),
            epoch=epoch,
            tombstones=tombstones,
            damage="; ".join(damage),
        )

    def named_order(self) -> tuple[str, str] | None:
        """Id and phase of the order on the disk, whichever version of the guard wrote it and
        whatever else it says; None where there is none. ValueError or OSError when nothing can be
        read of it."""
        raw = self._disk.read(self._order)
        if raw is None:
            return None
        try:
            order = json.loads(raw)["order"]
            return str(order["recipe"]["order_id"]), str(order["phase"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{self._order}: not the record of an order") from error

    def _load_lease(self, order: Order | None) -> float | None:
        """An unreadable lease counts as never renewed: that errs towards undoing."""
        try:
            lease = json.loads(self._disk.read(self._lease) or b"{}")
            if order is not None and lease.get("order_id") == order.order_id:
                return float(lease["renewed_boottime"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return None

    def save_order(self, order: Order) -> None:
        self._disk.replace(self._order, _encode(order_to_json(order)))

    def stored_sha256(self) -> str:
        """Read the order back from the disk and say which one is there; raise on any doubt."""
        raw = self._disk.read(self._order)
        if raw is None:
            raise OSError(f"{self._order} is not there after it was written")
        return order_from_json(json.loads(raw)).recipe.sha256()

    def save_lease(self, order_id: str, renewed_boottime: float) -> None:
        lease = {"order_id": order_id, "renewed_boottime": renewed_boottime}
        self._disk.replace(self._lease, _encode(lease), durable=False)

    def save_epoch(self, epoch: int) -> None:
        self._disk.replace(self._epoch, _encode({"epoch": epoch}))

    def read_mark(self) -> str | None:
        """The order whose drill is on; None when there is none."""
        raw = self._disk.read(self._mark)
        return None if raw is None else raw.decode("ascii", "replace").strip()

    def write_mark(self, order_id: str) -> None:
        self._disk.replace(self._mark, order_id.encode() + b"\n")

    def drop_mark(self) -> None:
        self._disk.remove(self._mark)

    def bury(self, order_id: str) -> None:
        """Leave a tombstone: this order is refused for ever."""
        # On a line of its own, also where a power cut left half of the line before without an end.
        self._disk.append(self._tombstones, b"\n" + order_id.encode() + b"\n")


def _encode(data: object) -> bytes:
    return json.dumps(data, sort_keys=True, indent=1).encode() + b"\n"
