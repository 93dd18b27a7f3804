"""The edge of a step's world for tests: a cluster's API in memory, Envoys that count, a clock.

The API is `tests.object_store` without its socket: real versions, real conflicts. The Envoys count
what a client that the test plays sends, split by the weights that stand in the HTTPProxy.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from core.errors import ClusterUnreachable
from core.lost_rows import RowsLostError
from migrator.choices import FINAL, AttemptState
from migrator.execution import shell
from migrator.execution.conductor import Conductor
from migrator.execution.homeward import Homeward
from migrator.execution.world import World
from migrator.journal import Journal
from migrator.models import Attempt, StepLease
from migrator.runners.base import Answered, Figures, FiguresMissingError, Hands
from tests.object_store import OWNER, ObjectStore

PROXY = "/apis/projectcontour.io/v1/namespaces/shop/httpproxies/shop"
LEGACY, KUBERNETES = "shop-legacy", "shop"


def proxy(kubernetes: int = 0, **spec: Any) -> dict[str, Any]:
    services = [
        {"name": LEGACY, "port": 80, "weight": 100 - kubernetes},
        {"name": KUBERNETES, "port": 80, "weight": kubernetes},
    ]
    routes = [{"services": services, "timeoutPolicy": {"response": "5s"}}]
    return {
        "kind": "HTTPProxy",
        "spec": {"virtualhost": {"fqdn": "shop.example"}, "routes": routes, **spec},
    }


class Killed(BaseException):
    """The conductor's process ended here."""


@dataclass
class Trouble:
    """What goes wrong at the n-th write of the API (counted from 1)."""

    at: int
    how: str
    """`lost`: nothing came through. `unanswered`: done, but the answer was lost. `killed before`
    and `killed after`: the process ended."""


@dataclass
class FakeClock:
    at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    mono: float = 1000.0

    def monotonic(self) -> float:
        return self.mono

    def now(self) -> dt.datetime:
        return self.at

    def forward(self, seconds: float) -> None:
        self.mono += seconds
        self.at += dt.timedelta(seconds=seconds)


class FakeApi:
    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.away = False
        self.trouble: Trouble | None = None
        self.writes = 0

    def ask(
        self,
        method: str,
        path: str,
        body: object | None = None,
        *,
        content_type: str = "application/json",
    ) -> Answered:
        if self.away:
            raise ClusterUnreachable("the API gave no answer")
        real = method != "GET" and "dryRun" not in path
        if real:
            self.writes += 1
        now = self.trouble if real and self.trouble and self.trouble.at == self.writes else None
        if now is not None:
            self.trouble = None
            if now.how == "killed before":
                raise Killed
            if now.how == "lost":
                raise ClusterUnreachable("the API gave no answer")
        status, document = self.store.answer(method, path, OWNER, body, content_type)
        if now is not None and now.how == "killed after":
            raise Killed
        if now is not None and now.how == "unanswered":
            raise ClusterUnreachable("the answer was lost")
        return Answered(status=status, document=document)


class FakeEnvoys:
    """Two Envoys that each got half of the requests."""

    def __init__(self) -> None:
        self.count = 2
        self.away = False
        self.totals: dict[str, int] = {}

    def read(self, upstreams: Iterable[str]) -> Figures:
        if self.away:
            raise FiguresMissingError("Envoy at http://10.0.0.2:8002: no whole answer in time.")
        names = [f"{word}:{name}" for name in upstreams for word in ("completed", "failed")]
        return {
            "http://10.0.0.1:8002": {name: self.totals.get(name, 0) // 2 for name in names},
            "http://10.0.0.2:8002": {
                name: self.totals.get(name, 0) - self.totals.get(name, 0) // 2 for name in names
            },
        }


class FakeAsks:
    def __init__(self) -> None:
        self.answers: dict[str, int] = {}

    def http(self, url: str, *, host: str = "", timeout_s: float = 3.0) -> int:
        if url not in self.answers:
            raise ConnectionRefusedError("refused the connection")
        return self.answers[url]


class FlakyRows(Journal):
    """The real rows, with a database that can go away, and a process that can end at a commit."""

    def __init__(self) -> None:
        self.away = False
        self.die_at: tuple[str, AttemptState] | None = None
        """("before" or "after", the state that is committed)."""

    def read(self, attempt_id: uuid.UUID, fence: int) -> Any:
        if self.away:
            raise RowsLostError("away")
        return super().read(attempt_id, fence)

    def renew(self, attempt_id: uuid.UUID, fence: int) -> bool:
        if self.away:
            raise RowsLostError("away")
        return super().renew(attempt_id, fence)

    def move(self, trial: Any, to: AttemptState, **more: Any) -> Any:
        if self.away:
            raise RowsLostError("away")
        die = self.die_at if self.die_at and self.die_at[1] == to else None
        if die is not None:
            self.die_at = None
            if die[0] == "before":
                raise Killed
        moved = super().move(trial, to, **more)
        if die is not None:
            raise Killed
        return moved


class StepWorld:
    """One shop on one cluster, and the client that sends requests to it."""

    def __init__(self, kubernetes: int = 0) -> None:
        self.clock = FakeClock()
        self.store = ObjectStore()
        self.store.put(PROXY, proxy(kubernetes))
        self.api = FakeApi(self.store)
        self.envoys = FakeEnvoys()
        self.asks = FakeAsks()
        self.rows = FlakyRows()
        self.per_s = 40
        self.broken_share = 0.0
        """Of the Kubernetes half's answers."""

    def world(self, attempt_id: uuid.UUID) -> World:
        hands = Hands(
            api=self.api, envoys=self.envoys, asks=self.asks, ticks=shell.TickRows(attempt_id)
        )
        return World(clock=self.clock, rows=self.rows, hands=hands)

    @property
    def spec(self) -> Any:
        return self.store.objects[PROXY]["spec"]

    @property
    def percent(self) -> int:
        """What the Kubernetes half has now."""
        return next(
            int(service.get("weight") or 0)
            for route in self.spec["routes"]
            for service in route["services"]
            if service["name"] == KUBERNETES
        )

    def forward(self, seconds: float) -> None:
        """Time goes on, and the client with it."""
        self.clock.forward(seconds)
        sent = round(self.per_s * seconds)
        new = round(sent * self.percent / 100)
        for name, number in (("shop_shop_80", new), ("shop_shop-legacy_80", sent - new)):
            key = f"completed:{name}"
            self.envoys.totals[key] = self.envoys.totals.get(key, 0) + number
        failed = "failed:shop_shop_80"
        self.envoys.totals[failed] = self.envoys.totals.get(failed, 0) + round(
            new * self.broken_share
        )


class Story:
    """One attempt, conducted step by step, as workers, beat and watchdog would."""

    def __init__(self, attempt: Attempt, world: StepWorld) -> None:
        self.attempt, self.world = attempt, world
        world.clock.at = max(world.clock.at, attempt.asked_at)
        self.conductor: Homeward | None = None

    def go(self, until: Callable[[Attempt], bool] = lambda _: False, steps: int = 1500) -> Attempt:
        """Until it is final, or until `until` says so."""
        for _ in range(steps):
            if self.conductor is None:
                fence = shell.claim(self.attempt.pk)
                assert fence is not None, "somebody holds it"
                self.conductor = Conductor(
                    self.attempt.pk, fence, self.world.world(self.attempt.pk)
                )
            wake = self.conductor.advance()
            self.attempt.refresh_from_db()
            if self.attempt.state in FINAL or until(self.attempt):
                return self.attempt
            if wake is None:
                self.conductor = None
            elif wake > shell.HAND_BACK_S and not self.conductor.holds:
                self.world.rows.rest(self.attempt.pk, self._fence, again_s=wake)
                self.conductor = None
            self.world.forward(max(wake or 1.0, 0.05))
        raise AssertionError(f"still {self.attempt.state}: {self.attempt.reason}")

    def to(self, state: AttemptState) -> Attempt:
        found = self.go(lambda a: a.state == state)
        assert found.state == state, (found.state, found.reason, found.seen)
        return found

    def watchdog(self) -> None:
        """Its conductor is gone: the watchdog has it now, and goes home with it."""
        lease = StepLease.objects.get(attempt=self.attempt)
        fence = shell.take_over(self.attempt.pk, fence=lease.fence, renewals=lease.renewals)
        assert fence is not None
        self.conductor = Homeward(self.attempt.pk, fence, self.world.world(self.attempt.pk))

    @property
    def _fence(self) -> int:
        return StepLease.objects.get(attempt=self.attempt).fence
