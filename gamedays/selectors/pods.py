"""The pod ledger as squares: one per pod, by node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gamedays.choices import PodSource
from gamedays.execution.pods import FINISHED
from gamedays.models import PodRecord

if TYPE_CHECKING:
    from gamedays.models import Injection

STATES = ("steady_pod", "finished", "born", "restarted", "dying", "dead", "unknown")
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


def ledger(run: Injection, *, api_away: bool = False) -> Ledger:
    """The fate of every pod that was seen. While the API is away only the nodes' guards can
    look: a pod that none of them has seen since then is unknown, whatever was true before."""
    records = list(PodRecord.objects.filter(injection=run))
    # Where the pods before the fault could not be listed, nobody can say which are new.
    listed_before = any(record.existed_before for record in records)
    by_node: dict[str, list[Square]] = {}
    counts: dict[str, int] = {}
    for record in records:
        square = _square(record, api_away=api_away, listed_before=listed_before)
        by_node.setdefault(record.node or _NO_NODE, []).append(square)
        counts[square.state] = counts.get(square.state, 0) + 1
    return Ledger(
        nodes=[NodePods(node, squares) for node, squares in sorted(by_node.items())],
        counts=counts,
        sources=sorted({PodSource(record.source).label for record in records}),
        total=len(records),
    )


def _square(record: PodRecord, *, api_away: bool, listed_before: bool) -> Square:
    name = f"{record.namespace}/{record.name}" if record.name else f"pod {record.uid[:8]}"
    state = _state(record, api_away=api_away)
    if state == "born" and not listed_before:
        state = "steady_pod"
    restarts = (record.restarts or 0) - (record.restarts_before or 0)
    notes = [f"last seen {record.phase.lower()}" if api_away else record.phase]
    if state == "restarted":
        notes.append(f"{restarts} restarts since the run began")
    if record.reason:
        notes.append(record.reason)
    if record.source == PodSource.GUARD:
        notes.append("seen by the node's guard")
    return Square(name, state, ", ".join(note for note in notes if note))


def _state(record: PodRecord, *, api_away: bool) -> str:
    if record.gone_at is not None:
        return "dead"
    if api_away and record.source != PodSource.GUARD:
        return "unknown"
    if record.restarts is not None and record.restarts > (record.restarts_before or 0):
        return "restarted"
    if record.phase == FINISHED:
        return "finished"
    if record.ready is False:
        return "dying"
    return "steady_pod" if record.existed_before else "born"
