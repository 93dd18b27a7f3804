"""What the tests of runners ask, and how they look."""

from __future__ import annotations

import datetime as dt
from typing import Any

from migrator.runners.base import (
    Hands,
    Look,
    Order,
    Prepared,
    Runner,
    Stand,
)

DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/shop"
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


class Ticked:
    """Ticks as somebody set them."""

    def __init__(self) -> None:
        self.parts: dict[str, set[int]] = {}

    def ticked(self, part: str) -> frozenset[int]:
        return frozenset(self.parts.get(part, ()))


def order(parameters: dict[str, Any], **more: Any) -> Order:
    return Order(attempt_id="a", parameters=parameters, **more)


def done(runner: Runner, asked: Order, hands: Hands) -> Prepared:
    """Prepared and changed, and seen to stand."""
    prepared = runner.prepare(asked, hands)
    runner.change(asked, prepared.before, hands)
    assert runner.stand(asked, prepared.before, hands) is Stand.OURS
    return prepared


def look(
    runner: Runner,
    asked: Order,
    prepared: Prepared,
    hands: Hands,
    *,
    memory: dict[str, Any] | None = None,
    stood_s: float = 0.0,
    now: dt.datetime = NOW,
) -> Look:
    return runner.judge(asked, prepared.before, memory or {}, hands, stood_s=stood_s, now=now)
