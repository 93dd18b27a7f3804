"""The node's clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class NodeClock:
    """CLOCK_BOOTTIME for every duration: it runs on through suspend and cannot be set."""

    def boottime(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> str:
        return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
