"""Every step of Belay's processes that changes something elsewhere, numbered, so that a process
can be killed or stopped just before it, just after it, or lose the answer to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from tests.simulator.kernel import Kernel, Process

T = TypeVar("T")


class Break(StrEnum):
    """What happens to whoever performs an operation."""

    KILL_BEFORE = "kill-before"
    KILL_AFTER = "kill-after"
    LOSE_ANSWER = "lose-answer"
    """It was done, and its process is told that it failed."""
    STOP_BEFORE = "stop-before"
    STOP_AFTER = "stop-after"


@dataclass
class Trap:
    """Breaks one operation: the `skip`-th after now of a process whose name begins so."""

    process: str
    breaks: Break
    skip: int = 0
    kinds: tuple[str, ...] = ("",)
    """Prefixes of operation names: `db:`, `guard:`, `kube:`; all by default."""
    stop_s: float = 0.0
    sprung: str = ""
    """The operation that it hit."""


class Operations:
    """Performs each operation, and springs the traps."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.traps: list[Trap] = []
        self.count = 0
        self.names: list[str] = []
        self.asleep = 0
        """Processes that a trap stopped and that will go on."""

    def perform(
        self,
        process: Process,
        name: str,
        act: Callable[[], T],
        lost: Exception,
        *,
        takes_s: float = 0.0,
    ) -> T:
        """Do it, with half of its time before the effect and half after."""
        self.count += 1
        if process.name.startswith("conductor"):
            self.names.append(name)
        trap = self._trap(process, name)
        if trap is not None:
            self._spring(trap, process, Break.KILL_BEFORE, Break.STOP_BEFORE)
        if takes_s:
            self._kernel.sleep(takes_s / 2)
        done = act()
        if trap is not None:
            self._spring(trap, process, Break.KILL_AFTER, Break.STOP_AFTER)
            if trap.breaks is Break.LOSE_ANSWER:
                raise lost
        if takes_s:
            self._kernel.sleep(takes_s / 2)
        return done

    def _trap(self, process: Process, name: str) -> Trap | None:
        for trap in self.traps:
            if trap.sprung or not process.name.startswith(trap.process):
                continue
            if not name.startswith(trap.kinds):
                continue
            if trap.skip == 0:
                trap.sprung = name
                return trap
            trap.skip -= 1
        return None

    def _spring(self, trap: Trap, process: Process, kill: Break, stop: Break) -> None:
        if trap.breaks is kill:
            process.kill()
        elif trap.breaks is stop:
            self.asleep += 1

            def wake() -> None:
                self.asleep -= 1
                process.go_on()

            self._kernel.after(trap.stop_s, wake)
            process.stop()
