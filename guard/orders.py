"""The rules: what is armed, injected, renewed and undone, and when.

A step function. `advance()` does what is due now and says how many seconds may pass until the
next look; the verbs change the one live order. Clock, disk and node are handed in, threads and
sockets are elsewhere (`guard.worker`), so a simulator runs exactly this code.

Everything happens under one lock, in short steps. `undo` alone does not wait for it: it notes
the wish first, so that nothing can stand before it.
"""

from __future__ import annotations

import dataclasses
import threading

from guard.admission import (
    check_arm,
    check_freshness,
    check_inject,
    disk_refusal,
    same_request,
    tombstone_refusal,
)
from guard.faults import DRIVERS
from guard.journal import Journal
from guard.kube import HttpsApi, ObjectApi
from guard.lifecycle import MAX_TOMBSTONES, Lifecycle
from guard.log import log
from guard.protocol import (
    ORDER_ID,
    Armed,
    ArmRequest,
    Code,
    InjectRequest,
    OrderReport,
    Phase,
    Policy,
    RenewRequest,
    UndoReason,
)
from guard.record import LIVE_BEFORE_UNDO, Order, Recipe, tombstone_report
from guard.rules import NoRules
from guard.world import Clock, Node, PacketRules, RefusedError, World

LOCK_WAIT_S = 0.5


class Orders:
    """The one live order of a node."""

    def __init__(
        self,
        *,
        policy: Policy,
        journal: Journal,
        node: Node,
        clock: Clock,
        session: str,
        rules: PacketRules | None = None,
        objects: ObjectApi | None = None,
    ) -> None:
        self.policy = policy
        self.session = session
        self.sequence = 0
        self.changed = threading.Condition(threading.RLock())
        """Notified on every change; its lock guards everything below."""
        world = World(
            node=node,
            rules=rules or NoRules(),
            marks=journal,
            objects=objects or HttpsApi(),
        )
        self._life = Lifecycle(journal=journal, epoch=policy.epoch, clock=clock, world=world)
        self._ledger = self._life.ledger
        self._world = world
        self._clock = clock
        self._asked: set[str] = set()
        self._asked_lock = threading.Lock()

    def start(self) -> None:
        """Take up what the journal says."""
        with self.changed:
            self._life.take_up()

    # -- verbs ------------------------------------------------------------------------------

    def arm(self, request: ArmRequest) -> Armed:
        """Write the way back to the disk, read it back, and only then call the order armed."""
        with self.changed:
            self._settle()
            self._fresh(request.session, request.sequence)
            if self._ledger.buried(request.order_id):
                raise tombstone_refusal(request.order_id)
            live = self._ledger.live
            if live is not None and same_request(live, request):
                return self._read_back(live)
            check_arm(request, self.policy, self._ledger.epoch, live)
            order = self._aimed(request)
            try:
                if self._ledger.behind:
                    raise OSError("what ended before is not on the disk yet")
                self._ledger.raise_epoch(request.epoch)
                order = self._life.driver(order).prepare(order, self._world)
                self._ledger.renewed_boottime = None
                self._ledger.write_or_raise(order)
                armed = self._read_back(order)
            except (OSError, RefusedError) as error:
                self._forget_unarmed(order)
                raise disk_refusal(order.order_id, error) from error
            log("armed", order_id=order.order_id, fault=dataclasses.asdict(request.fault))
            self.changed.notify_all()
            return armed

    def _aimed(self, request: ArmRequest) -> Order:
        """The order with all that its undo needs; nothing is written yet."""
        kind = request.fault.kind
        driver = DRIVERS.get(kind)
        if driver is None:
            raise RefusedError(Code.UNKNOWN_FAULT, f"this guard cannot do {kind}: update it")
        recipe = Recipe(
            order_id=request.order_id,
            fault=request.fault,
            epoch=request.epoch,
            lease_s=request.lease_s,
            boot=self._world.node.boot(),
            armed_boottime=self._clock.boottime(),
            armed_at=self._clock.wall(),
        )
        try:
            recipe = driver.aim(recipe, request.credential, self._world)
        except OSError as error:
            raise RefusedError(
                Code.TARGET_ABSENT, f"the target of {kind} cannot be looked at: {error}"
            ) from error
        return Order(recipe=recipe, credential=request.credential)

    def inject(self, request: InjectRequest) -> OrderReport:
        """Break it, once. Returns before it has bitten; `await_bite` waits for that."""
        with self.changed:
            self._settle()
            self._fresh(request.session, request.sequence)
            order = self._require(request.order_id)
            now = self._clock.boottime()
            check_inject(order, self.policy, now)
            driver = self._life.driver(order)
            try:
                order = driver.check(order, self._world)
            except OSError as error:
                raise RefusedError(
                    Code.TARGET_ABSENT, f"the target cannot be looked at any more: {error}"
                ) from error
            order = order.replace(
                phase=Phase.INJECTING,
                injected_boottime=now,
                injected_at=self._clock.wall(),
            )
            try:
                self._ledger.write_or_raise(order)
            except OSError as error:
                raise RefusedError(
                    Code.DISK,
                    f"order {order.order_id} was not injected, the intent could not be written"
                    f" to the node's disk: {error}. The order is still armed; undo it.",
                ) from error
            log("injecting", order_id=order.order_id, kind=order.recipe.fault.kind)
            try:
                struck = driver.strike(order, self._world)
            except OSError as error:
                failed = order.replace(detail=f"the fault could not be injected: {error}")
                self._life.begin_undo(failed, UndoReason.CRASH)
            else:
                if struck != order:
                    self._ledger.write(struck)
            self.changed.notify_all()
            return self._life.report(self._require(order.order_id))

    def await_bite(self, order_id: str, timeout_s: float) -> OrderReport:
        """The order's report once it has bitten, or after `timeout_s` whatever it says then."""
        with self.changed:
            self.changed.wait_for(
                lambda: self._require(order_id).phase is not Phase.INJECTING, timeout_s
            )
            return self._life.report(self._require(order_id))

    def renew(self, request: RenewRequest) -> OrderReport:
        """Push the lease out by its full length; an undo that has begun goes on regardless."""
        with self.changed:
            self._settle()
            self._fresh(request.session, request.sequence)
            order = self._require(request.order_id)
            if order.phase in LIVE_BEFORE_UNDO:
                self._ledger.renew(order.order_id, self._clock.boottime())
            return self._life.report(order)

    def undo(self, order_id: str) -> OrderReport:
        """Accept an undo and answer at once; the undo itself is done by `advance`."""
        if not ORDER_ID.match(order_id):
            raise RefusedError(Code.MALFORMED, f"order id {order_id[:64]!r} is not a UUID")
        with self._asked_lock:
            self._asked.add(order_id)
        if not self.changed.acquire(timeout=LOCK_WAIT_S):
            raise RefusedError(
                Code.BUSY, f"the undo of order {order_id} is noted and will be done; ask again"
            )
        try:
            self._settle()
            self.changed.notify_all()
            order = self._ledger.order
            if order is not None and order.order_id == order_id:
                return self._life.report(order)
            if not self._ledger.buried(order_id):
                raise RefusedError(
                    Code.BUSY,
                    f"this guard was never told of order {order_id} and keeps"
                    f" {MAX_TOMBSTONES} tombstones already; nothing of it is live here",
                )
            return tombstone_report(
                order_id, "over, or never armed here; refused on this node from now on"
            )
        finally:
            self.changed.release()

    def undo_all(self, reason: UndoReason) -> None:
        """Undo whatever is live: somebody on the node, or our own end, asks for it."""
        with self.changed:
            order = self._ledger.order
            if order is not None and order.phase in LIVE_BEFORE_UNDO:
                self._life.begin_undo(order, reason)
            self.changed.notify_all()

    def keep_manifest(self) -> bool:
        """Somebody on the node accepts the file that stands there instead of the original."""
        with self.changed:
            order = self._ledger.order
            if order is None or order.phase is not Phase.STUCK:
                return False
            if not self._life.driver(order).accept(order, self._world):
                return False
            self._life.finish(order.replace(detail=f"accepted on the node: {order.detail}"))
            self.changed.notify_all()
            return True

    def report(self) -> OrderReport | None:
        """The live order, or the last one."""
        with self.changed:
            order = self._ledger.order
            return None if order is None else self._life.report(order)

    @property
    def order(self) -> Order | None:
        with self.changed:
            return self._ledger.order

    @property
    def epoch(self) -> int:
        with self.changed:
            return self._ledger.epoch

    # -- time -------------------------------------------------------------------------------

    def advance(self) -> float:
        """Do what is due; return how many seconds may pass until the next call."""
        with self.changed:
            seen = self._ledger.order
            self._settle()
            again_s = self._life.advance()
            if self._ledger.order != seen:
                self.changed.notify_all()
            return again_s

    def _settle(self) -> None:
        with self._asked_lock:
            asked, self._asked = self._asked, set()
        self._life.settle(asked)

    # -- small things -----------------------------------------------------------------------

    def _forget_unarmed(self, order: Order) -> None:
        """Arming failed half-way: leave neither a stash nor a record that looks live."""
        self._life.drop_stash(order)
        self._ledger.never_armed(order)

    def _fresh(self, session: str, sequence: int) -> None:
        check_freshness(session, sequence, self.session, self.sequence)
        self.sequence = sequence

    def _require(self, order_id: str) -> Order:
        order = self._ledger.order
        if order is not None and order.order_id == order_id:
            return order
        if self._ledger.buried(order_id):
            raise tombstone_refusal(order_id)
        raise RefusedError(
            Code.UNKNOWN_ORDER,
            f"order {order_id[:64]!r} was never armed on this node; arm it first",
        )

    def _read_back(self, order: Order) -> Armed:
        try:
            stored = self._ledger.stored_sha256()
        except (OSError, ValueError) as error:
            raise disk_refusal(order.order_id, error) from error
        if stored != order.recipe.sha256():
            raise disk_refusal(order.order_id, "another order was read back than was written")
        return Armed(report=self._life.report(order), stored_sha256=stored)
