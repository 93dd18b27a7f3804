"""The kernel's packet rules of one node: elements that expire by themselves, gone with a boot."""

from __future__ import annotations

from collections.abc import Callable

from guard.protocol import Endpoint
from tests.simulator.kernel import Kernel


class Rules:
    """`guard.world.PacketRules`."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._until: dict[Endpoint, float] = {}
        self.on_cut: Callable[[], None] = lambda: None

    def cut(self, endpoints: list[Endpoint], timeout_s: int) -> None:
        self.on_cut()
        self._until |= dict.fromkeys(endpoints, self._kernel.now + timeout_s)

    def listed(self) -> list[Endpoint]:
        now = self._kernel.now
        return [endpoint for endpoint, until in self._until.items() if until > now]

    def clear(self) -> None:
        self._until.clear()

    def got_through(self, endpoints: list[Endpoint]) -> bool | None:
        return not set(endpoints) <= set(self.listed())
