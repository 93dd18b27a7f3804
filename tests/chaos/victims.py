"""Who can be killed or stopped: the stack's programs, and a guard's two processes on a node."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

from config.stack.processes import ProcessMark
from tests.chaos.plan import GUARDS, Process, Strike, Way
from tests.faults.nodes import GUARD_PARENT, GUARD_WORKER, ClusterLook
from tests.stack.running import RunningStack


def send(tree: Sequence[ProcessMark], number: signal.Signals) -> bool:
    """Signal those that still live; False when none did."""
    hit = False
    for process in tree:
        if process.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
                hit = True
    return hit


@dataclass(frozen=True, kw_only=True)
class Paused:
    """Stopped by us, to be continued at `until` (monotonic seconds)."""

    process: Process
    tree: tuple[ProcessMark, ...]
    until: float


class Victims:
    """Finds the processes of a strike ahead of time, so that the signal comes at once."""

    def __init__(self, stack: RunningStack, look: ClusterLook) -> None:
        self._stack = stack
        self._look = look
        self._paused: list[Paused] = []

    def tree(self, process: Process, node: str) -> tuple[ProcessMark, ...]:
        """The living processes now, parents first. A program that was killed a moment ago is
        waited for until the supervisor calls it running again."""
        if process not in GUARDS:
            return tuple(self._stack.marks(process.value))
        words = GUARD_WORKER if process is Process.GUARD else GUARD_PARENT
        return tuple(self._look.node(node).guard(words))

    def hit(self, strike: Strike, tree: Sequence[ProcessMark], node: str) -> bool:
        """Kill or stop. `tree` was found ahead; one that died since is looked up again."""
        number = signal.SIGKILL if strike.way is Way.KILL else signal.SIGSTOP
        if not any(process.alive for process in tree):
            tree = self.tree(strike.process, node)
        if not send(tree, number):
            return False
        if strike.way is Way.STOP:
            until = time.monotonic() + strike.stopped_s
            self._paused.append(Paused(process=strike.process, tree=tuple(tree), until=until))
        return True

    def stopped(self, process: Process) -> bool:
        return any(paused.process is process for paused in self._paused)

    def resume(self, *, everybody: bool = False) -> None:
        """Continue those whose time is over, or everybody."""
        now = time.monotonic()
        due = [paused for paused in self._paused if everybody or paused.until <= now]
        for paused in due:
            send(paused.tree, signal.SIGCONT)
        self._paused = [paused for paused in self._paused if paused not in due]
