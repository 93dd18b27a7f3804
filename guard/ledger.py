"""The live order in memory and on disk, and the tombstones of all that are over.

A disk that refuses never stops an undo: what could not be written is kept in memory and tried
again, and a guard that restarts meanwhile finds an older record and undoes once more. What must
be on the disk *before* something happens goes through `write_or_raise`.
"""

from __future__ import annotations

from guard.journal import Journal
from guard.log import log
from guard.protocol import Phase
from guard.record import Order
from guard.world import Node


class Ledger:
    """What this guard knows of its orders. Guarded by the lock of `guard.orders.Orders`."""

    def __init__(self, journal: Journal, epoch: int) -> None:
        self.order: Order | None = None
        self.renewed_boottime: float | None = None
        self.epoch = epoch
        self._journal = journal
        self._tombstones: set[str] = set()
        self._unburied: set[str] = set()
        self._unsaved = False

    def load(self) -> None:
        """Take up what the journal says."""
        memory = self._journal.load()
        self.epoch = max(self.epoch, memory.epoch)
        self._tombstones = set(memory.tombstones)
        self.order, self.renewed_boottime = memory.order, memory.renewed_boottime
        if memory.damage:
            log("journal damaged", damage=memory.damage)

    @property
    def live(self) -> Order | None:
        """The order that is not over, if there is one."""
        return self.order if self.order is not None and self.order.live else None

    @property
    def behind(self) -> bool:
        """Is something in memory that the disk has not taken yet?"""
        return self._unsaved or bool(self._unburied)

    @property
    def tombstones(self) -> int:
        return len(self._tombstones)

    def buried(self, order_id: str) -> bool:
        return order_id in self._tombstones

    def write_or_raise(self, order: Order) -> None:
        """Journal first, then believe it: OSError leaves everything as it was."""
        self._journal.save_order(order)
        self.order, self._unsaved = order, False

    def write(self, order: Order) -> None:
        """Believe it, and journal it as soon as the disk takes it."""
        self.order = order
        try:
            self._journal.save_order(order)
            self._unsaved = False
        except OSError as error:
            if not self._unsaved:
                log("order not journalled", order_id=order.order_id, error=str(error))
            self._unsaved = True

    def catch_up(self) -> None:
        """Try again what the disk refused."""
        if self._unsaved and self.order is not None:
            self.write(self.order)
        for order_id in tuple(self._unburied):
            self.bury(order_id)

    def bury(self, order_id: str) -> None:
        """Leave a tombstone: this order is refused for ever."""
        self._tombstones.add(order_id)
        try:
            self._journal.bury(order_id)
            self._unburied.discard(order_id)
        except OSError as error:
            if order_id not in self._unburied:
                log("tombstone not journalled", order_id=order_id, error=str(error))
            self._unburied.add(order_id)

    def stored_sha256(self) -> str:
        return self._journal.stored_sha256()

    def raise_epoch(self, epoch: int) -> None:
        if epoch > self.epoch:
            self._journal.save_epoch(epoch)
            self.epoch = epoch

    def renew(self, order_id: str, boottime: float) -> None:
        self.renewed_boottime = boottime
        try:
            self._journal.save_lease(order_id, boottime)
        except OSError as error:
            log("lease not journalled", order_id=order_id, error=str(error))

    def adopt_orphans(self, node: Node) -> None:
        """A stash whose order is not live is left from a damaged journal or a late crash."""
        live = self.live.order_id if self.live is not None else None
        for order_id in node.stashed_orders():
            if order_id == live:
                continue
            try:
                put_back = node.adopt_stash(order_id)
                node.drop_stash(order_id)
            except OSError as error:
                log("orphaned stash kept", order_id=order_id, error=str(error))
                continue
            log("orphaned stash resolved", order_id=order_id, put_back=put_back)
            self.bury(order_id)

    def never_armed(self, order: Order) -> None:
        """Arming failed; its record may have reached the disk before the failure was seen."""
        detail = "never armed: the disk refused"
        self.write(order.replace(phase=Phase.UNDONE, detail=detail, credential=None))
