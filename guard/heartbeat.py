"""Signs of life of the worker's undo loop, for the parent (a pipe) and the kubelet (a file).

The file holds CLOCK_BOOTTIME, not a date: setting the node's clock must not look like a stop.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from guard.world import Clock

STALE_S = 12.0


class Heartbeat:
    """Beaten by the loop that undoes, and by nothing else."""

    def __init__(self, path: Path, pipe: int | None, clock: Clock) -> None:
        self._pipe = pipe
        self._clock = clock
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Opened once and overwritten in place: a full disk does not stop it.
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def beat(self) -> bool:
        """Show life; False when nobody holds the other end of the pipe any more."""
        # No room even for 21 bytes? The pipe still tells the parent.
        with contextlib.suppress(OSError):
            os.pwrite(self._file, b"%020.3f\n" % self._clock.boottime(), 0)
        if self._pipe is None:
            return True
        try:
            os.write(self._pipe, b".")
        except BlockingIOError:
            # The parent is stopped and the pipe is full; it is there all the same.
            return True
        except BrokenPipeError:
            return False
        return True


def age_s(path: Path) -> float | None:
    """Seconds since the last beat; None when there is none to read."""
    try:
        return time.clock_gettime(time.CLOCK_BOOTTIME) - float(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
