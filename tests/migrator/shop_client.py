"""A client of the real shop: requests at a steady rate, each on a connection of its own, and what
became of every one of them."""

from __future__ import annotations

import http.client
import json
import math
import threading
import time
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Sent:
    at: float
    """Seconds since 1970, when it was sent."""
    served_by: str
    """`legacy`, `kubernetes`, or empty where it failed."""
    failure: str


class Client:
    """Sends `per_s` requests a second from several threads, until it is left."""

    def __init__(self, url: str, host: str, *, per_s: int = 60, threads: int = 6) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._host, self._threads, self._every_s = host, threads, threads / per_s
        self._sent: list[Sent] = []
        self._over = threading.Event()
        self._running: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for number in range(self._threads):
            thread = threading.Thread(target=self._send_on, args=(number,), daemon=True)
            thread.start()
            self._running.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._running:
            thread.join(15)

    def between(self, start: float, end: float) -> list[Sent]:
        return [each for each in list(self._sent) if start <= each.at < end]

    def failures(self, start: float = 0.0, end: float = math.inf) -> list[Sent]:
        return [each for each in self.between(start, end) if each.failure]

    def _send_on(self, number: int) -> None:
        due = time.monotonic() + number * self._every_s / self._threads
        while not self._over.wait(max(0.0, due - time.monotonic())):
            self._sent.append(self._send())
            # What was missed is not made up for: a burst would be another load than was meant.
            due = max(due + self._every_s, time.monotonic())

    def _send(self) -> Sent:
        at = time.time()
        connection = http.client.HTTPConnection(*self._address, timeout=10)
        try:
            connection.request("GET", "/", headers={"Host": self._host})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                return Sent(at, "", f"HTTP {answer.status}")
            return Sent(at, str(json.loads(body)["served_by"]), "")
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            return Sent(at, "", f"{type(error).__name__}: {error}")
        finally:
            connection.close()


def assert_share(sent: list[Sent], percent: int) -> None:
    """The Kubernetes half's share is `percent`, within five standard deviations of a fair draw."""
    number = len(sent)
    assert number >= 200, f"only {number} requests: nothing can be said of their shares"
    new = len([each for each in sent if each.served_by == "kubernetes"])
    share = percent / 100
    allowed = 5 * math.sqrt(max(number * share * (1 - share), 1))
    assert abs(new - number * share) <= allowed, f"{new} of {number}, wanted {percent}%"
