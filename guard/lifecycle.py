"""The life of the one order: what is due, when it ends, and how it is undone and put away.

Called by `guard.orders` under its lock. Clock, journal and world are handed in.
"""

from __future__ import annotations

import dataclasses

from guard.faults import DRIVERS, FaultDriver, Step
from guard.journal import Journal
from guard.ledger import Ledger
from guard.log import log
from guard.protocol import (
    DEADLINE_MARGIN_S,
    INJECT_WINDOW_S,
    ArmRequest,
    Code,
    OrderReport,
    Phase,
    UndoReason,
)
from guard.record import LIVE_BEFORE_UNDO, UNDO_RUNNING, Order, Recipe
from guard.world import Clock, RefusedError, World

IDLE_S = 1.0
RETRY_S = 0.5
UNBITTEN_AFTER_S = 3.0
"""An inject that has not bitten by now is called injected all the same, with `bitten` false."""
STUCK_AFTER_S = 120.0
MAX_TOMBSTONES = 100_000
"""Four megabytes. More undos of unknown orders than this are an attack, not an operation."""


class Lifecycle:
    """The live order's steps, from armed to undone."""

    def __init__(self, *, journal: Journal, epoch: int, clock: Clock, world: World) -> None:
        self.ledger = Ledger(journal, epoch)
        self.clock = clock
        self.world = world

    @staticmethod
    def driver(order: Order) -> FaultDriver:
        return DRIVERS[order.recipe.fault.kind]

    def aim(self, request: ArmRequest, world: World) -> Order:
        """The order with all that its undo needs. Looks only: nothing is written yet."""
        kind = request.fault.kind
        driver = DRIVERS.get(kind)
        if driver is None:
            raise RefusedError(Code.UNKNOWN_FAULT, f"this guard cannot do {kind}: update it")
        recipe = Recipe(
            order_id=request.order_id,
            fault=request.fault,
            epoch=request.epoch,
            lease_s=request.lease_s,
            boot=world.node.boot(),
            armed_boottime=self.clock.boottime(),
            armed_at=self.clock.wall(),
        )
        try:
            recipe = driver.aim(recipe, request.credential, world)
        except OSError as error:
            raise RefusedError(
                Code.TARGET_ABSENT, f"the target of {kind} cannot be looked at: {error}"
            ) from error
        return Order(recipe=recipe, credential=request.credential)

    def intend(self, order: Order, now: float) -> Order:
        """Look at the target once more, and journal that it is struck now: the strike itself may
        come only after that."""
        try:
            order = self.driver(order).check(order, self.world)
        except OSError as error:
            raise RefusedError(
                Code.TARGET_ABSENT, f"the target cannot be looked at any more: {error}"
            ) from error
        order = order.replace(
            phase=Phase.INJECTING, injected_boottime=now, injected_at=self.clock.wall()
        )
        try:
            self.ledger.write_or_raise(order)
        except OSError as error:
            raise RefusedError(
                Code.DISK,
                f"order {order.order_id} was not injected, the intent could not be written"
                f" to the node's disk: {error}. The order is still armed; undo it.",
            ) from error
        log("injecting", order_id=order.order_id, kind=order.recipe.fault.kind)
        return order

    # -- what is due ------------------------------------------------------------------------

    def take_up(self) -> None:
        """A guard process begins: go on in the same boot, undo after a new one."""
        self.ledger.load()
        order = self.ledger.live
        if order is not None:
            log("order taken up", order_id=order.order_id, phase=order.phase)
            if order.recipe.boot != self.world.node.boot():
                self.begin_undo(order, UndoReason.BOOT)
            elif order.phase is Phase.INJECTING:
                self.begin_undo(order, UndoReason.CRASH)
        self.ledger.adopt_orphans(self.world.node)
        if self.ledger.live is None:
            self._clear_leftovers()

    def _clear_leftovers(self) -> None:
        """A damaged journal tells of no order; what an order may have left is taken away."""
        try:
            self.world.marks.drop_mark()
            if self.world.rules.listed():
                self.world.rules.clear()
        except OSError as error:
            log("could not look for leftovers", error=str(error))

    def settle(self, asked: set[str]) -> None:
        """Before anything else: undos that were asked for, expired leases, unsaved records."""
        for order_id in asked:
            order = self.ledger.order
            if order is not None and order.order_id == order_id:
                if order.phase in LIVE_BEFORE_UNDO:
                    self.begin_undo(order, UndoReason.REQUESTED)
                elif order.retry_boottime is not None:
                    self.ledger.order = order.replace(retry_boottime=None)
                if order.live:
                    continue
            if not self.ledger.buried(order_id) and self.ledger.tombstones < MAX_TOMBSTONES:
                self.ledger.bury(order_id)
        order = self.ledger.order
        if order is not None and order.phase in LIVE_BEFORE_UNDO:
            now = self.clock.boottime()
            if now >= self.deadline(order):
                self.begin_undo(order, UndoReason.DEADLINE)
            elif now >= self.lease_end(order):
                self.begin_undo(order, UndoReason.LEASE)
        self.ledger.catch_up()

    def advance(self) -> float:
        """One step of the live order; returns how many seconds may pass until the next."""
        order = self.ledger.live
        if order is None:
            return IDLE_S
        now = self.clock.boottime()
        return self.take(self.step_of(order, now), now)

    def take(self, step: Step, now: float) -> float:
        """Believe a step that began at `now`; returns as `advance`."""
        order = self._mark_progress(step.order, now)
        if step.reverted:
            self.begin_undo(order, UndoReason.REVERTED)
            return 0.0
        if order.phase is Phase.UNDONE:
            self.finish(order)
        elif order != self.ledger.order:
            self.ledger.write(order)
        return max(0.0, min(step.again_s, IDLE_S))

    def step_of(self, order: Order, now: float, world: World | None = None) -> Step:
        """One step of an order in the world. Changes nothing here, and needs no lock."""
        try:
            return self._step(order, now, world or self.world)
        except OSError as error:
            if order.detail != str(error):
                log("step failed", order_id=order.order_id, phase=order.phase, error=str(error))
            order = order.replace(detail=str(error))
            undoing_s = now - order.undo_boottime if order.undo_boottime is not None else 0.0
            if order.phase is Phase.UNDOING and undoing_s >= STUCK_AFTER_S:
                order = order.replace(phase=Phase.STUCK)
            return Step(order=order, again_s=RETRY_S)

    def _step(self, order: Order, now: float, world: World) -> Step:
        driver = self.driver(order)
        if order.phase is Phase.ARMED:
            return Step(order=order, again_s=self.lease_end(order) - now)
        if order.phase in UNDO_RUNNING:
            if order.injected_boottime is None:
                disarmed = driver.disarm(order, world)
                return Step(order=disarmed.replace(phase=Phase.UNDONE), again_s=IDLE_S)
            return driver.undo(order, world, now)
        step = driver.watch(order, world, now)
        end = min(self.lease_end(order), self.deadline(order))
        return dataclasses.replace(step, again_s=min(step.again_s, end - now))

    def _mark_progress(self, order: Order, now: float) -> Order:
        if order.bitten and not order.bitten_at:
            order = order.replace(bitten_at=self.clock.wall())
            log("bitten", order_id=order.order_id)
        if order.phase is Phase.INJECTING:
            waited = now - (order.injected_boottime or now)
            if order.bitten or waited >= UNBITTEN_AFTER_S:
                order = order.replace(phase=Phase.INJECTED)
        return order

    # -- when it ends -----------------------------------------------------------------------

    def lease_end(self, order: Order) -> float:
        since = max(order.recipe.armed_boottime, self.ledger.renewed_boottime or 0.0)
        return since + order.recipe.lease_s

    def deadline(self, order: Order) -> float:
        start = order.injected_boottime
        if start is None:
            start = order.recipe.armed_boottime + INJECT_WINDOW_S
        return start + order.recipe.fault.hold_s + DEADLINE_MARGIN_S

    def report(self, order: Order) -> OrderReport:
        if order.phase not in LIVE_BEFORE_UNDO:
            return order.report()
        now = self.clock.boottime()
        return order.report(
            lease_left_s=self.lease_end(order) - now,
            deadline_left_s=self.deadline(order) - now,
        )

    # -- how it ends ------------------------------------------------------------------------

    def begin_undo(self, order: Order, reason: UndoReason) -> None:
        log("undoing", order_id=order.order_id, reason=reason, phase=order.phase)
        self.ledger.write(
            order.replace(
                phase=Phase.UNDOING,
                undo_reason=reason,
                undo_boottime=self.clock.boottime(),
                undo_asked_at=self.clock.wall(),
                placed_boottime=None,
                nudge_back_boottime=None,
                retry_boottime=None,
            )
        )

    def finish(self, order: Order) -> None:
        order = order.replace(
            phase=Phase.UNDONE,
            undone_at=self.clock.wall(),
            credential=None,
        )
        self.ledger.bury(order.order_id)
        self.ledger.write(order)
        self.drop_stash(order)
        log("undone", order_id=order.order_id, reason=order.undo_reason, detail=order.detail)

    def drop_stash(self, order: Order) -> None:
        try:
            self.world.node.drop_stash(order.order_id)
        except OSError as error:
            log("stash not dropped", order_id=order.order_id, error=str(error))
