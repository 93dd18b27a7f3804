"""A steady trickle of real requests to the shop, through the edge Envoy: the range's users."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from pathlib import Path

from practice.plan import EDGE_PORT, SHOP_HOST, Plan
from practice.system import write_atomic

PER_SECOND = 5.0
TIMEOUT_S = 2.0
WRITE_EVERY_S = 2.0


class Trickle(threading.Thread):
    """Sends requests until `stop` is set, and keeps counts in `trickle.json` of the range.

    Every request has a connection of its own: a kept-alive one would see all of a fault or
    nothing of it.
    """

    def __init__(self, plan: Plan, stop: threading.Event) -> None:
        super().__init__(name="trickle", daemon=True)
        self._address, self._stop_asked = plan.gateway, stop
        self._path: Path = plan.dir / "trickle.json"
        self._counts: Counter[str] = Counter()
        self._last_error = ""
        self._last_error_at: float | None = None

    def run(self) -> None:
        """Send until told to stop; a failed request is counted, never raised."""
        began, written, due = time.time(), 0.0, time.monotonic()
        while not self._stop_asked.is_set():
            self._counts["sent"] += 1
            try:
                self._counts[self._ask()] += 1
                self._counts["answered"] += 1
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._counts["failed"] += 1
                self._last_error, self._last_error_at = f"{error}", time.time()
            if time.monotonic() - written > WRITE_EVERY_S:
                written = time.monotonic()
                self._write(began)
            due = max(due + 1 / PER_SECOND, time.monotonic() - 1.0)
            self._stop_asked.wait(max(0.0, due - time.monotonic()))
        self._write(began)

    def _ask(self) -> str:
        """One request; the word of the half that answered."""
        link = http.client.HTTPConnection(self._address, EDGE_PORT, timeout=TIMEOUT_S)
        try:
            link.request("GET", "/", headers={"Host": SHOP_HOST, "Connection": "close"})
            answer = link.getresponse()
            body = answer.read()
        finally:
            link.close()
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        return f"served_by_{json.loads(body)['served_by']}"

    def _write(self, began: float) -> None:
        record = dict(self._counts) | {
            "since": began, "last_error": self._last_error, "last_error_at": self._last_error_at,
        }  # fmt: skip
        write_atomic(self._path, json.dumps(record))


def shop_answers(plan: Plan) -> bool:
    """Whether a request through the edge reaches the shop."""
    link = http.client.HTTPConnection(plan.gateway, timeout=3)
    try:
        link.request("GET", "/", headers={"Host": SHOP_HOST})
        return link.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()
