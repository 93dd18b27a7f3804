"""The pod ledger as squares: one per pod, by node."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gamedays.choices import PodSource
from gamedays.models import PodRecord

if TYPE_CHECKING:
    from gamedays.models import Injection

_GAP = dt.timedelta(seconds=20)
"""A pod that the newest look did not show, and that nobody saw go, is unknown."""
STATES = ("steady_pod", "born", "restarted", "dying", "dead", "unknown")
"""Keys of the marks, in the order of the legend."""
_NO_NODE = "not scheduled"


@dataclass(frozen=True, slots=True)
class Square:
    """One pod. `state` is a key of the marks."""

    name: str
    state: str
    note: str


@dataclass(frozen=True, slots=True)
class NodePods:
    node: str
    squares: list[Square]


@dataclass(frozen=True, slots=True)
class Ledger:
    """All pods of a run, and how many of them had which fate."""

    nodes: list[NodePods]
    counts: dict[str, int]
    sources: list[str]
    total: int


def ledger(run: Injection) -> Ledger:
    """The fate of every pod that was seen, from the API or from the nodes."""
    records = list(PodRecord.objects.filter(injection=run))
    newest = max((record.last_seen_at for record in records), default=None)
    by_node: dict[str, list[Square]] = {}
    counts: dict[str, int] = {}
    for record in records:
        square = _square(record, newest)
        by_node.setdefault(record.node or _NO_NODE, []).append(square)
        counts[square.state] = counts.get(square.state, 0) + 1
    return Ledger(
        nodes=[NodePods(node, squares) for node, squares in sorted(by_node.items())],
        counts=counts,
        sources=sorted({PodSource(record.source).label for record in records}),
        total=len(records),
    )


def _square(record: PodRecord, newest: dt.datetime | None) -> Square:
    name = f"{record.namespace}/{record.name}" if record.name else f"pod {record.uid[:8]}"
    state = _state(record, newest)
    restarts = (record.restarts or 0) - (record.restarts_before or 0)
    notes = [record.phase] if record.phase else []
    if state == "restarted":
        notes.append(f"{restarts} restarts since the run began")
    if record.reason:
        notes.append(record.reason)
    if record.source == PodSource.GUARD:
        notes.append("seen by the node's guard")
    return Square(name, state, ", ".join(notes))


def _state(record: PodRecord, newest: dt.datetime | None) -> str:
    if record.gone_at is not None:
        return "dead"
    if newest is not None and newest - record.last_seen_at > _GAP:
        return "unknown"
    if record.restarts is not None and record.restarts > (record.restarts_before or 0):
        return "restarted"
    if record.ready is False and record.phase not in ("Succeeded", "Completed"):
        return "dying"
    return "steady_pod" if record.existed_before else "born"
