"""Packet rules by `nft`: one table of ours, two sets whose elements carry a timeout.

    table inet belay_guard
      set cut4 / cut6     ip . port, timeout
      chain out           hook output      priority raw: what the node itself sends
      chain through       hook prerouting  priority raw: what its pods send, before any DNAT

The table is there only while something is cut. Dropping at raw priority, packet by packet, ends
connections that were open before, too. Never matched: the guard's own port (refused at arming).
"""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any

from guard.dial import Dialler
from guard.protocol import Endpoint

TABLE = "belay_guard"
NFT_S = 5.0
_RULES = f"""\
add table inet {TABLE}
add set inet {TABLE} cut4 {{ type ipv4_addr . inet_service; flags timeout; }}
add set inet {TABLE} cut6 {{ type ipv6_addr . inet_service; flags timeout; }}
add chain inet {TABLE} out {{ type filter hook output priority raw; policy accept; }}
add chain inet {TABLE} through {{ type filter hook prerouting priority raw; policy accept; }}
add rule inet {TABLE} out ip daddr . tcp dport @cut4 drop
add rule inet {TABLE} out ip6 daddr . tcp dport @cut6 drop
add rule inet {TABLE} through ip daddr . tcp dport @cut4 drop
add rule inet {TABLE} through ip6 daddr . tcp dport @cut6 drop
"""
_CLEAR = f"add table inet {TABLE}\ndelete table inet {TABLE}\n"


class NoTableError(OSError):
    """The kernel has no table of ours: nothing is cut."""


class NftRules:
    """`guard.world.PacketRules` in the network namespace of this process."""

    def __init__(self, command: Sequence[str] = ("nft",)) -> None:
        self._command = list(command)
        self._dialler = Dialler()

    def cut(self, endpoints: list[Endpoint], timeout_s: int) -> None:
        # One transaction: rules and elements are there together, or not at all.
        lines = [_CLEAR + _RULES]
        for name, family in (("cut4", 4), ("cut6", 6)):
            elements = ", ".join(
                f"{one.address} . {one.port} timeout {timeout_s}s"
                for one in endpoints
                if ipaddress.ip_address(one.address).version == family
            )
            if elements:
                lines.append(f"add element inet {TABLE} {name} {{ {elements} }}\n")
        self._dialler.forget()
        self._run("-f", "-", said="".join(lines))

    def listed(self) -> list[Endpoint]:
        try:
            said = self._run("-j", "list", "table", "inet", TABLE)
        except NoTableError:
            return []
        found = json.loads(said)["nftables"]
        return sorted(
            _elements(item["set"] for item in found if "set" in item),
            key=lambda one: (one.address, one.port),
        )

    def clear(self) -> None:
        self._dialler.forget()
        self._run("-f", "-", said=_CLEAR)

    def got_through(self, endpoints: list[Endpoint]) -> bool | None:
        return self._dialler.got_through(endpoints)

    def _run(self, *words: str, said: str = "") -> str:
        try:
            done = subprocess.run(
                [*self._command, *words],
                input=said, capture_output=True, text=True, check=False, timeout=NFT_S,
                env={**os.environ, "LC_ALL": "C"},
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise OSError(f"nft gave no answer within {NFT_S:g} s") from error
        if done.returncode == 0:
            return done.stdout
        why = done.stderr.strip()
        if words[:2] == ("-j", "list") and "No such file or directory" in why:
            raise NoTableError(why)
        raise OSError(f"nft {' '.join(words)}: {why[-300:]}")


def _elements(sets: Iterable[dict[str, Any]]) -> Iterable[Endpoint]:
    for found in sets:
        for element in found.get("elem", ()):
            # With a timeout: {"elem": {"val": {"concat": [ip, port]}, "timeout": …}}
            value = element.get("elem", {}).get("val", element)
            address, port = value["concat"]
            yield Endpoint(address=address, port=port)
