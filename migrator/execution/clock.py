"""The machine's clocks."""

from __future__ import annotations

import datetime as dt
import time


class SystemClock:
    """`Clock` of the step functions."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)
