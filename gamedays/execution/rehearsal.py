"""The undo is rehearsed before it is needed: a harmless drill, on every node that a fault aims at.

Armed, injected, and then left alone: nobody renews it, so that it is the guard's own dead-man
switch that has to undo it. A step function like the conductor that owns it.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gamedays.drivers.fleet import OrderReport, Phase, UndoReason
from gamedays.scenarios.plan import NodeFault

if TYPE_CHECKING:
    from gamedays.execution.world import World

LEASE_S = 10.0
"""How long a guard waits before it takes its drill back; the least that guards accept."""
PATIENCE_S = LEASE_S + 15.0
LOOK_S = 1.0
_HOLD_S = 30
"""Longer than the lease: it is the missing renewal that ends a drill, not its deadline."""


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """How it went on one node."""

    node: str
    at: dt.datetime
    succeeded: bool
    detail: str = ""


class Rehearsal:
    """One drill on some nodes. `advance` until `done`; then `results` has every node."""

    def __init__(self, injection_id: uuid.UUID, nodes: Iterable[str], world: World) -> None:
        # An order of its own, and the same one however often this is looked at.
        self._order_id = str(uuid.uuid5(injection_id, "drill"))
        self._nodes = sorted(nodes)
        self._world = world
        self._began_at: float | None = None
        self._looked_at = float("-inf")
        self._bitten: set[str] = set()
        self.results: dict[str, Rehearsed] = {}

    @property
    def done(self) -> bool:
        return len(self.results) == len(self._nodes)

    def advance(self) -> None:
        now = self._world.clock.monotonic()
        if self._began_at is None:
            self._began_at = now
            self._begin()
        elif not self.done and now - self._looked_at >= LOOK_S:
            self._looked_at = now
            self._look(waited_s=now - self._began_at)

    def end(self) -> None:
        """Take back what may still be armed: the run goes no further."""
        if self._began_at is not None and not self.done:
            self._world.guards.undo(self._order_id, self._nodes)

    def _begin(self) -> None:
        guards = self._world.guards
        fault = NodeFault(kind="drill", hold_s=_HOLD_S)
        armed = guards.arm(self._order_id, dict.fromkeys(self._nodes, fault), lease_s=LEASE_S)
        for node, reply in armed.items():
            if not reply.ok:
                self._end(node, f"The drill could not be armed: {reply.error}.")
        left = [node for node in self._nodes if node not in self.results]
        for node, injected in guards.inject(self._order_id, left).items():
            if injected.value is None:
                self._end(node, f"The drill could not be injected: {injected.error}.")
            elif injected.value.bitten:
                self._bitten.add(node)

    def _look(self, *, waited_s: float) -> None:
        for node, reply in self._world.guards.status().items():
            if node not in self._nodes or node in self.results:
                continue
            order = reply.value.order if reply.value else None
            if order is not None and order.order_id == self._order_id:
                self._judge(node, order, waited_s)
        if waited_s <= PATIENCE_S or self.done:
            return
        for node in self._nodes:
            if node not in self.results:
                self._end(node, f"The guard had not taken the drill back after {waited_s:.0f} s.")
        self._world.guards.undo(self._order_id, self._nodes)

    def _judge(self, node: str, order: OrderReport, waited_s: float) -> None:
        if order.bitten:
            self._bitten.add(node)
        if order.phase is Phase.STUCK:
            self._end(node, f"The drill could not be undone: {order.detail or 'no detail'}.")
        elif order.phase is not Phase.UNDONE:
            return
        elif order.undo_reason is not UndoReason.LEASE:
            self._end(node, f"The drill ended for another reason: {order.undo_reason}.")
        elif node not in self._bitten:
            self._end(node, "The drill was never seen to bite.")
        else:
            self.results[node] = Rehearsed(
                node=node,
                at=self._world.clock.now(),
                succeeded=True,
                detail=f"Taken back by the guard itself within {waited_s:.0f} s.",
            )

    def _end(self, node: str, why: str) -> None:
        self.results[node] = Rehearsed(
            node=node, at=self._world.clock.now(), succeeded=False, detail=why
        )


def summary(results: Mapping[str, Rehearsed]) -> str:
    """For the timeline: where it worked, and where and why it did not."""
    failed = [f"{node}: {each.detail}" for node, each in results.items() if not each.succeeded]
    worked = sorted(node for node, each in results.items() if each.succeeded)
    parts = []
    if worked:
        parts.append(
            f"The undo was rehearsed on {', '.join(worked)}: each guard took a harmless drill "
            "back by itself."
        )
    if failed:
        parts.append(f"The rehearsal failed. {' '.join(failed)}")
    return " ".join(parts)
