"""The rules: what is armed, injected, renewed and undone, and when.

A step function. `advance()` does what is due now and says how many seconds may pass until the
next look; the verbs change the one live order. Clock, disk and node are handed in, threads and
sockets are elsewhere (`guard.worker`), so a simulator runs exactly this code.

Everything happens under one lock (`changed`), in short steps. `undo` alone does not wait for it:
it notes the wish first, so that nothing can stand before it. What asks an API server takes long,
and is done outside of that lock, under another (`doing`): one thing at a time is done to the
world, and meanwhile every verb is answered. What was seen of an order that has changed since is
forgotten: the undo looks for itself.
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
from guard.faults import SLOW
from guard.forward import Forward
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
from guard.record import LIVE_BEFORE_UNDO, UNDO_RUNNING, Order, tombstone_report
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
        self.doing = threading.RLock()
        """Held by whoever acts on the world. Always taken before `changed`."""
        self._asked: set[str] = set()
        self._asked_lock = threading.Lock()
        self._wakes = self._heard = 0

    def start(self) -> None:
        """Take up what the journal says."""
        with self.changed:
            self._life.take_up()

    # -- verbs ------------------------------------------------------------------------------

    def arm(self, request: ArmRequest) -> Armed:
        """Write the way back to the disk, read it back, and only then call the order armed."""
        with self.doing:
            with self.changed:
                self._settle()
                self._fresh(request.session, request.sequence)
                if self._ledger.buried(request.order_id):
                    raise tombstone_refusal(request.order_id)
                live = self._ledger.live
                if live is not None and same_request(live, request):
                    return self._read_back(live)
                self._admit(request)
            order = self._life.aim(request, self._forward(request.order_id))
            with self.changed:
                self._settle()
                self._admit(request)
                return self._write_down(order, request)

    def _admit(self, request: ArmRequest) -> None:
        if self._ledger.buried(request.order_id):
            raise tombstone_refusal(request.order_id)
        check_arm(request, self.policy, self._ledger.epoch, self._ledger.live)

    def _write_down(self, order: Order, request: ArmRequest) -> Armed:
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
        self._wake()
        return armed

    def inject(self, request: InjectRequest) -> OrderReport:
        """Break it, once. Returns before it has bitten; `await_bite` waits for that."""
        with self.doing:
            with self.changed:
                order = self._about_to_inject(request)
                if order.recipe.fault.kind not in SLOW:
                    self._strike(order)
                    return self._life.report(self._require(order.order_id))
            self._strike(order)
            return self._life.report(self._require(order.order_id))

    def _about_to_inject(self, request: InjectRequest) -> Order:
        self._settle()
        self._fresh(request.session, request.sequence)
        order = self._require(request.order_id)
        now = self._clock.boottime()
        check_inject(order, self.policy, now)
        return self._life.intend(order, now)

    def _strike(self, order: Order) -> None:
        failure = ""
        struck = order
        try:
            struck = self._life.driver(order).strike(order, self._forward(order.order_id))
        except OSError as error:
            failure = f"the fault could not be injected: {error}"
        with self.changed:
            if self._ledger.order is not order:
                return  # undone meanwhile; the undo looks for itself at what was done
            if failure:
                self._life.begin_undo(order.replace(detail=failure), UndoReason.CRASH)
            elif struck != order:
                self._ledger.write(struck)
            self._wake()

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
            self._wake()
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
            self._wake()

    def keep_manifest(self) -> bool:
        """Somebody on the node accepts the file that stands there instead of the original."""
        with self.doing, self.changed:
            order = self._ledger.order
            if order is None or order.phase is not Phase.STUCK:
                return False
            if not self._life.driver(order).accept(order, self._world):
                return False
            self._life.finish(order.replace(detail=f"accepted on the node: {order.detail}"))
            self._wake()
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
        with self.doing:
            with self.changed:
                seen = self._ledger.order
                self._heard = self._wakes
                self._settle()
                order = self._ledger.live
                if order is None or order.recipe.fault.kind not in SLOW:
                    return self._said(seen, self._life.advance())
                now = self._clock.boottime()
            back = order.phase in UNDO_RUNNING
            world = self._world if back else self._forward(order.order_id)
            step = self._life.step_of(order, now, world)
            with self.changed:
                if self._ledger.order is not order:
                    return 0.0
                return self._said(seen, self._life.take(step, now))

    def _said(self, seen: Order | None, again_s: float) -> float:
        """Tell whoever waits for the order that it has come further."""
        if self._ledger.order != seen:
            self.changed.notify_all()
        return again_s

    def rest(self, pause_s: float) -> None:
        """Until a verb has something to do, or `pause_s` is over. No wish since the last
        `advance` began is slept over."""
        with self.changed:
            self.changed.wait_for(lambda: self._wakes != self._heard, pause_s)

    def _wake(self) -> None:
        self._wakes += 1
        self.changed.notify_all()

    def _forward(self, order_id: str) -> World:
        """The world for the way forward of this order: closed once it is to be undone."""

        def over() -> bool:
            with self._asked_lock:
                if order_id in self._asked:
                    return True
            order = self._ledger.order
            mine = order is not None and order.order_id == order_id
            undone = mine and order is not None and order.phase not in LIVE_BEFORE_UNDO
            return undone or self._ledger.buried(order_id)

        return dataclasses.replace(self._world, objects=Forward(self._world.objects, over))

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
