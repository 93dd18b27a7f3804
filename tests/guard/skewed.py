"""A guard's worker whose calendar is wrong: `python -m tests.guard.skewed SECONDS_FILE work …`.

Whatever asks this process for the date gets one that is off by as many seconds as the file says.
The machine's own clock is never set.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from guard.__main__ import main
from guard.clock import NodeClock

_real_time = time.time


def skew(file: Path) -> None:
    """Let dates of this process be off by what `file` says at the moment of asking."""

    def off_s() -> float:
        return float(file.read_text(encoding="ascii"))

    def wall(self: NodeClock) -> str:
        return (datetime.now(UTC) + timedelta(seconds=off_s())).isoformat()

    NodeClock.wall = wall  # type: ignore[method-assign]
    time.time = lambda: _real_time() + off_s()


if __name__ == "__main__":
    skew(Path(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
