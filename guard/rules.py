"""Packet rules where there are none: what a node that was given no `nft` answers."""

from __future__ import annotations

from guard.protocol import Endpoint


class NoRules:
    """Refuses to cut, and says that it cannot look."""

    def cut(self, endpoints: list[Endpoint], timeout_s: int) -> None:
        raise OSError("this guard was given no packet rules")

    def listed(self) -> list[Endpoint]:
        raise OSError("this guard was given no packet rules")

    def clear(self) -> None:
        """Nothing was cut."""

    def got_through(self, endpoints: list[Endpoint]) -> bool | None:
        raise OSError("this guard was given no packet rules")
