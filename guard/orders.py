"""The rules: what is armed, injected, renewed and undone, and when.

A step function. `advance()` does what is due now and says how many seconds may pass until the
next look; the verbs change the one live order. Clock, disk and node are handed in, threads and
sockets are elsewhere (`guard.worker`), so a simulator runs exactly this code.

Everything happens under one lock, in steps of milliseconds. `undo` alone does not wait for it: it
notes the wish first, so that nothing can stand before it.
"""

from __future__ import annotations

import dataclasses
import threading

from guard.admission import check_arm, check_freshness, check_inject, tombstone_refusal
from guard.faults import DRIVERS, Step
from guard.journal import Journal
from guard.ledger import Ledger
from guard.log import log
from guard.protocol import (
    DEADLINE_MARGIN_S,
    INJECT_WINDOW_S,
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
from guard.record import LIVE_BEFORE_UNDO, UNDO_RUNNING, Order, Recipe, tombstone_report
from guard.world import Clock, Node, RefusedError

IDLE_S = 1.0
RETRY_S = 0.5
LOCK_WAIT_S = 0.5
UNBITTEN_AFTER_S = 3.0
"""An inject that has not bitten by now is called injected all the same, with `bitten` false."""
STUCK_AFTER_S = 120.0
MAX_TOMBSTONES = 100_000
"""Four megabytes. More undos of unknown orders than this are an attack, not an operation."""


class Orders:
    """The one live order of a node."""

    def __init__(
        self, *, policy: Policy, journal: Journal, node: Node, clock: Clock, session: str
    ) -> None:
        self.policy = policy
        self.session = session
        self.sequence = 0
        self.changed = threading.Condition(threading.RLock())
        """Notified on every change; its lock guards everything below."""
        self._ledger = Ledger(journal, policy.epoch)
        self._node = node
        self._clock = clock
        self._asked: set[str] = set()
        self._asked_lock = threading.Lock()

    def start(self) -> None:
        """Take up what the journal says: go on in the same boot, undo after a new one."""
        with self.changed:
            self._ledger.load()
            order = self._ledger.live
            if order is not None:
                log("order taken up", order_id=order.order_id, phase=order.phase)
                if order.recipe.boot != self._node.boot():
                    self._begin_undo(order, UndoReason.BOOT)
                elif order.phase is Phase.INJECTING:
                    self._begin_undo(order, UndoReason.CRASH)
            self._ledger.adopt_orphans(self._node)

    # -- verbs ------------------------------------------------------------------------------

    def arm(self, request: ArmRequest) -> Armed:
        """Write the way back to the disk, read it back, and only then call the order armed."""
        with self.changed:
            self._settle()
            self._fresh(request.session, request.sequence)
            if self._ledger.buried(request.order_id):
                raise tombstone_refusal(request.order_id)
            live = self._ledger.live
            if live is not None and _same_request(live, request):
                return self._read_back(live)
            target = check_arm(request, self.policy, self._ledger.epoch, live, self._node)
            order = Order(
                recipe=Recipe(
                    order_id=request.order_id,
                    fault=request.fault,
                    epoch=request.epoch,
                    lease_s=request.lease_s,
                    boot=self._node.boot(),
                    manifest=target.manifest,
                    pod_uid=target.pod_uid,
                    armed_boottime=self._clock.boottime(),
                    armed_at=self._clock.wall(),
                )
            )
            try:
                if self._ledger.behind:
                    raise OSError("what ended before is not on the disk yet")
                self._ledger.raise_epoch(request.epoch)
                DRIVERS[request.fault.kind].prepare(order, self._node)
                self._ledger.renewed_boottime = None
                self._ledger.write_or_raise(order)
                armed = self._read_back(order)
            except (OSError, RefusedError) as error:
                self._forget_unarmed(order)
                raise _disk_refusal(order.order_id, error) from error
            log("armed", order_id=order.order_id, fault=dataclasses.asdict(request.fault))
            self.changed.notify_all()
            return armed

    def inject(self, request: InjectRequest) -> OrderReport:
        """Break it, once. Returns before it has bitten; `await_bite` waits for that."""
        with self.changed:
            self._settle()
            self._fresh(request.session, request.sequence)
            order = self._require(request.order_id)
            now = self._clock.boottime()
            before = check_inject(order, self.policy, now, self._node)
            order = order.replace(
                phase=Phase.INJECTING,
                processes_before=before,
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
            log("injecting", order_id=order.order_id, processes=len(before))
            try:
                DRIVERS[order.recipe.fault.kind].strike(order, self._node)
            except OSError as error:
                failed = order.replace(detail=f"the fault could not be injected: {error}")
                self._begin_undo(failed, UndoReason.CRASH)
            self.changed.notify_all()
            return self._report(self._require(order.order_id))

    def await_bite(self, order_id: str, timeout_s: float) -> OrderReport:
        """The order's report once it has bitten, or after `timeout_s` whatever it says then."""
        with self.changed:
            self.changed.wait_for(
                lambda: self._require(order_id).phase is not Phase.INJECTING, timeout_s
            )
            return self._report(self._require(order_id))

    def renew(self, request: RenewRequest) -> OrderReport:
        """Push the lease out by its full length; an undo that has begun goes on regardless."""
        with self.changed:
            self._settle()
            self._fresh(request.session, request.sequence)
            order = self._require(request.order_id)
            if order.phase in LIVE_BEFORE_UNDO:
                self._ledger.renew(order.order_id, self._clock.boottime())
            return self._report(order)

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
                return self._report(order)
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
                self._begin_undo(order, reason)
            self.changed.notify_all()

    def keep_manifest(self) -> bool:
        """Somebody on the node accepts the file that stands there instead of the original."""
        with self.changed:
            order = self._ledger.order
            if order is None or order.phase is not Phase.STUCK:
                return False
            if self._node.manifest(order.recipe.fault.component) is None:
                return False
            self._finish(order.replace(detail=f"accepted on the node: {order.detail}"))
            self.changed.notify_all()
            return True

    def report(self) -> OrderReport | None:
        """The live order, or the last one."""
        with self.changed:
            order = self._ledger.order
            return None if order is None else self._report(order)

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
            order = self._ledger.live
            again_s = IDLE_S
            if order is not None:
                now = self._clock.boottime()
                step = self._try_step(order, now)
                again_s = step.again_s
                order = self._mark_progress(step.order, now)
                if step.reverted:
                    self._begin_undo(order, UndoReason.REVERTED)
                    again_s = 0.0
                elif order.phase is Phase.UNDONE:
                    self._finish(order)
                elif order != self._ledger.order:
                    self._ledger.write(order)
            if self._ledger.order != seen:
                self.changed.notify_all()
            return max(0.0, min(again_s, IDLE_S))

    def _try_step(self, order: Order, now: float) -> Step:
        try:
            return self._step(order, now)
        except OSError as error:
            if order.detail != str(error):
                log("step failed", order_id=order.order_id, phase=order.phase, error=str(error))
            order = order.replace(detail=str(error))
            undoing_s = now - order.undo_boottime if order.undo_boottime is not None else 0.0
            if order.phase is Phase.UNDOING and undoing_s >= STUCK_AFTER_S:
                order = order.replace(phase=Phase.STUCK)
            return Step(order=order, again_s=RETRY_S)

    def _step(self, order: Order, now: float) -> Step:
        driver = DRIVERS[order.recipe.fault.kind]
        if order.phase is Phase.ARMED:
            return Step(order=order, again_s=self._lease_end(order) - now)
        if order.phase in UNDO_RUNNING:
            if order.injected_boottime is None:
                return Step(order=self._disarmed(order), again_s=IDLE_S)
            return driver.undo(order, self._node, now)
        step = driver.watch(order, self._node, now)
        end = min(self._lease_end(order), self._deadline(order))
        return dataclasses.replace(step, again_s=min(step.again_s, end - now))

    def _mark_progress(self, order: Order, now: float) -> Order:
        if order.bitten and not order.bitten_at:
            order = order.replace(bitten_at=self._clock.wall())
            log("bitten", order_id=order.order_id)
        if order.phase is Phase.INJECTING:
            waited = now - (order.injected_boottime or now)
            if order.bitten or waited >= UNBITTEN_AFTER_S:
                order = order.replace(phase=Phase.INJECTED)
        return order

    def _disarmed(self, order: Order) -> Order:
        """Nothing was broken yet: only look that the manifest is what it was."""
        found = self._node.manifest(order.recipe.fault.component)
        detail = ""
        if found is None or found.info != order.recipe.manifest:
            detail = "the manifest was changed by somebody else since it was armed; left alone"
        return order.replace(phase=Phase.UNDONE, detail=detail)

    def _settle(self) -> None:
        """Before anything else: undos that were asked for, expired leases, unsaved records."""
        with self._asked_lock:
            asked, self._asked = self._asked, set()
        for order_id in asked:
            order = self._ledger.order
            if order is not None and order.order_id == order_id:
                if order.phase in LIVE_BEFORE_UNDO:
                    self._begin_undo(order, UndoReason.REQUESTED)
                elif order.retry_boottime is not None:
                    self._ledger.order = order.replace(retry_boottime=None)
                if order.live:
                    continue
            if not self._ledger.buried(order_id) and self._ledger.tombstones < MAX_TOMBSTONES:
                self._ledger.bury(order_id)
        order = self._ledger.order
        if order is not None and order.phase in LIVE_BEFORE_UNDO:
            now = self._clock.boottime()
            if now >= self._deadline(order):
                self._begin_undo(order, UndoReason.DEADLINE)
            elif now >= self._lease_end(order):
                self._begin_undo(order, UndoReason.LEASE)
        self._ledger.catch_up()

    def _lease_end(self, order: Order) -> float:
        since = max(order.recipe.armed_boottime, self._ledger.renewed_boottime or 0.0)
        return since + order.recipe.lease_s

    def _deadline(self, order: Order) -> float:
        start = order.injected_boottime
        if start is None:
            start = order.recipe.armed_boottime + INJECT_WINDOW_S
        return start + order.recipe.fault.hold_s + DEADLINE_MARGIN_S

    # -- small things -----------------------------------------------------------------------

    def _begin_undo(self, order: Order, reason: UndoReason) -> None:
        log("undoing", order_id=order.order_id, reason=reason, phase=order.phase)
        self._ledger.write(
            order.replace(
                phase=Phase.UNDOING,
                undo_reason=reason,
                undo_boottime=self._clock.boottime(),
                undo_asked_at=self._clock.wall(),
                placed_boottime=None,
                nudge_back_boottime=None,
                retry_boottime=None,
            )
        )

    def _finish(self, order: Order) -> None:
        order = order.replace(phase=Phase.UNDONE, undone_at=self._clock.wall())
        self._ledger.bury(order.order_id)
        self._ledger.write(order)
        self._drop_stash(order)
        log("undone", order_id=order.order_id, reason=order.undo_reason, detail=order.detail)

    def _drop_stash(self, order: Order) -> None:
        try:
            self._node.drop_stash(order.order_id)
        except OSError as error:
            log("stash not dropped", order_id=order.order_id, error=str(error))

    def _forget_unarmed(self, order: Order) -> None:
        """Arming failed half-way: leave neither a stash nor a record that looks live."""
        self._drop_stash(order)
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
            raise _disk_refusal(order.order_id, error) from error
        if stored != order.recipe.sha256():
            raise _disk_refusal(order.order_id, "another order was read back than was written")
        return Armed(report=self._report(order), stored_sha256=stored)

    def _report(self, order: Order) -> OrderReport:
        if order.phase not in LIVE_BEFORE_UNDO:
            return order.report()
        now = self._clock.boottime()
        return order.report(
            lease_left_s=self._lease_end(order) - now,
            deadline_left_s=self._deadline(order) - now,
        )


def _same_request(order: Order, request: ArmRequest) -> bool:
    recipe = order.recipe
    return (recipe.order_id, recipe.fault, recipe.epoch, recipe.lease_s) == (
        request.order_id,
        request.fault,
        request.epoch,
        request.lease_s,
    )


def _disk_refusal(order_id: str, error: object) -> RefusedError:
    return RefusedError(
        Code.DISK,
        f"order {order_id} was not armed: its way back could not be written to the node's disk"
        f" and read back ({error}). Make room on the node and arm a new order.",
    )
