"""The looks that a run's probes made, from the rows that hold ten seconds of each.

A live run's page asks every second, for everybody who has it open, and wants figures over the
whole run. So a process keeps what it has read of a live run, and each time reads only what was
written since: the rows tell that themselves (`SampleBlock.written_at`, set by the database). What
is kept is never shown by itself: no answer is given without that look.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from gamedays.models import SampleBlock
from gamedays.models.record import BLOCK_S

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterable

    from django.db.models import QuerySet

    from gamedays.models import Injection

_KEPT_RUNS = 8
"""At most so many live runs are kept; a minute of ten probes is some hundred kilobytes."""
_SETTLED = dt.timedelta(seconds=30)
"""How long before the newest row that was seen one may still become visible: its transaction is
over by then. Whoever writes gives up after 5 s (`core.db_deadline`), and writes it again."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: `attempts` 0 means that we could not look."""

    at_ms: int
    passed: int
    attempts: int
    latency_ms: float | None
    detail: str

    def as_row(self) -> list[Any]:
        row: list[Any] = [self.at_ms, self.passed, self.attempts, self.latency_ms]
        return [*row, self.detail] if self.detail else row


class _Block(NamedTuple):
    started_at: dt.datetime
    fence: int
    probe_id: int
    samples: list[Sample]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was read of one run, by row id, and when the newest of it was written."""

    blocks: dict[int, _Block] = field(default_factory=dict)
    written_at: dt.datetime | None = None


_kept: OrderedDict[uuid.UUID, _Kept] = OrderedDict()
_lock = threading.Lock()


def samples_of(run: Injection) -> dict[int, list[Sample]]:
    """Every sample of the run by probe id, oldest first. One query."""
    rows = SampleBlock.objects.filter(injection=run)
    with _lock:
        if run.is_final:
            # Nobody asks every second any more.
            _kept.pop(run.pk, None)
        kept = _kept.get(run.pk, _Kept())
    if kept.written_at is not None:
        rows = rows.filter(written_at__gt=kept.written_at - _SETTLED)
    read, written_at = _read(rows)
    now = _Kept({**kept.blocks, **read}, written_at or kept.written_at)
    if not run.is_final:
        with _lock:
            _kept[run.pk] = now
            _kept.move_to_end(run.pk)
            while len(_kept) > _KEPT_RUNS:
                _kept.popitem(last=False)
    return _by_probe(now.blocks.values())


def samples_since(run: Injection, after_ms: int | None = None) -> dict[int, list[Sample]]:
    """Samples by probe id, oldest first, later than `after_ms` (milliseconds since 1970)."""
    rows = SampleBlock.objects.filter(injection=run)
    if after_ms is not None:
        begin = dt.datetime.fromtimestamp(after_ms / 1000, dt.UTC)
        rows = rows.filter(started_at__gt=begin - dt.timedelta(seconds=2 * BLOCK_S))
    blocks, _written_at = _read(rows)
    found = _by_probe(blocks.values())
    if after_ms is None:
        return found
    return {pk: [s for s in samples if s.at_ms > after_ms] for pk, samples in found.items()}


def _read(rows: QuerySet[SampleBlock]) -> tuple[dict[int, _Block], dt.datetime | None]:
    found: dict[int, _Block] = {}
    newest = None
    names = ("pk", "written_at", "started_at", "fence", "probe_id", "samples")
    for pk, written_at, started_at, fence, probe_id, samples in rows.values_list(*names):
        found[pk] = _Block(started_at, fence, probe_id, list(_decode(started_at, samples)))
        newest = max(newest or written_at, written_at)
    return found, newest


def _decode(started_at: dt.datetime, samples: Iterable[list[Any]]) -> Iterable[Sample]:
    begin_ms = int(started_at.timestamp() * 1000)
    for offset_ms, passed, attempts, latency_ms, detail in samples:
        yield Sample(begin_ms + int(offset_ms), passed, attempts, latency_ms, str(detail or ""))


def _by_probe(blocks: Iterable[_Block]) -> dict[int, list[Sample]]:
    found: dict[int, list[Sample]] = defaultdict(list)
    for block in sorted(blocks, key=lambda block: (block.started_at, block.fence)):
        found[block.probe_id] += block.samples
    for row in found.values():
        row.sort(key=lambda sample: sample.at_ms)
    return found
