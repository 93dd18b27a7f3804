"""The one write path for what happened: states, timeline, samples, pods, and the end of a run.

Every change of an injection is one transaction that first proves the fence and then names the
state that it leaves. Losing either changes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import structlog
from django.db import DataError, transaction
from django.db.models import F
from django.utils import timezone

from core.lost_rows import with_deadline
from core.redaction import redact, redact_shapes
from gamedays.choices import ALLOWED, FINAL, Alarm, EntryKind, InjectionState
from gamedays.execution.census import merge_census
from gamedays.execution.judge import judge_run
from gamedays.execution.pods import terminations
from gamedays.execution.world import PodCensus, Run, Sample
from gamedays.models import Injection, Lease, PodRecord, SampleBlock, TimelineEntry
from gamedays.models.record import BLOCK_S
from gamedays.operations.emergency import stopped_on_the_way
from gamedays.operations.ending import end_injection
from gamedays.operations.outcomes import record_outcomes
from gamedays.operations.rehearsals import store_rehearsals, unrehearsed_nodes

if TYPE_CHECKING:
    import uuid

    from gamedays.execution.rehearsal import Rehearsed

log = structlog.get_logger(__name__)
_TEXTS = ("reason", "doubt", "recipe", "fingerprint")
"""Columns that hold what others said. By shape only: the recipe is acted on later."""
_SAME_MOMENT = dt.timedelta(seconds=5)
_MARKED_BY: dict[str, str] = {
    InjectionState.PREFLIGHT: "preflight_at",
    InjectionState.ARMED: "armed_at",
    InjectionState.ACTIVE: "bitten_at",
    InjectionState.UNDOING: "undo_asked_at",
    InjectionState.VERIFYING: "undone_at",
    InjectionState.OBSERVING: "restored_at",
    InjectionState.REFUSED: "ended_at",
}
"""The column that a move to this state sets to its own moment."""
_MARKS = ("armed", "injecting", "bitten", "undo_asked", "undone", "restored")


class Journal:
    """`Rows` of the step functions, on PostgreSQL."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[int, dt.datetime], list[list[Any]]] = defaultdict(list)
        self._unwritten: set[tuple[int, dt.datetime]] = set()
        """Blocks that hold what was not committed yet: whoever drained them has them no more, so
        that a database that was away costs no sample."""

    @with_deadline
    def read(self, injection_id: uuid.UUID, fence: int) -> Run | None:
        # Asked four times a second for every live fault: no table is joined that is rarely told of.
        row = Injection.objects.filter(pk=injection_id, lease__fence=fence).first()
        return _as_run(row, fence) if row else None

    @with_deadline
    def renew(self, injection_id: uuid.UUID, fence: int) -> bool:
        return _prove_fence(injection_id, fence)

    @with_deadline
    def move(
        self,
        run: Run,
        to: InjectionState,
        *,
        text: str,
        kind: EntryKind | None = None,
        data: Mapping[str, Any] | None = None,
        unless_aborted: bool = False,
        **changes: Any,
    ) -> Run | None:
        if to not in ALLOWED[run.state]:
            raise ValueError(f"an injection never goes from {run.state} to {to}")
        with transaction.atomic():
            if not _prove_fence(run.id, run.fence):
                return None
            if stopped_on_the_way(run.id, to):
                return None
            found = Injection.objects.filter(pk=run.id, state=run.state)
            if unless_aborted:
                found = found.filter(abort_requested_at__isnull=True)
            said = {name: redact_shapes(changes[name]) for name in _TEXTS if name in changes}
            rows = found.update(state=to, **{**changes, **said})
            if rows != 1:
                transaction.set_rollback(True)
                return None
            at = _moment(changes.get(_MARKED_BY.get(to, "")))
            _entry(run.id, kind or EntryKind.STATE, text, {**(data or {}), "state": to}, at=at)
            if to in FINAL:
                end_injection(run.id)
        return self.read(run.id, run.fence)

    @with_deadline
    def write_entry(
        self, run: Run, *, kind: EntryKind, text: str, data: Mapping[str, Any] | None = None
    ) -> None:
        _entry(run.id, kind, text, data or {})

    @with_deadline
    def write_samples(self, run: Run, samples: Iterable[Sample]) -> None:
        for sample in samples:
            second = sample.at.replace(microsecond=0)
            start = second - dt.timedelta(seconds=second.second % BLOCK_S)
            offset_ms = round((sample.at - start).total_seconds() * 1000)
            latency = None if sample.latency_ms is None else round(sample.latency_ms, 1)
            self._blocks[sample.probe_id, start].append(
                [offset_ms, sample.passed, sample.attempts, latency, redact_shapes(sample.detail)]
            )
            self._unwritten.add((sample.probe_id, start))
        if not self._unwritten:
            return
        blocks = [
            SampleBlock(
                injection_id=run.id,
                probe_id=probe_id,
                fence=run.fence,
                started_at=start,
                samples=sorted(self._blocks[probe_id, start], key=lambda s: s[0]),
            )
            for probe_id, start in sorted(self._unwritten)
        ]
        try:
            with transaction.atomic():
                SampleBlock.objects.bulk_create(
                    blocks,
                    update_conflicts=True,
                    unique_fields=["injection", "probe", "started_at", "fence"],
                    update_fields=["samples"],
                )
        except DataError:
            # What was seen is a gap then, and judged as unknown. It never stops who has to undo.
            log.exception("samples_refused", injection=str(run.id))
            for key in self._unwritten:
                del self._blocks[key]
        self._unwritten.clear()
        self._forget_old_blocks()

    @with_deadline
    def write_census(self, run: Run, census: PodCensus) -> None:
        try:
            self._write_census(run, census)
        except DataError:
            # Pods that nobody could write down are unknown at the end; the undo goes on.
            log.exception("census_refused", injection=str(run.id))

    def _write_census(self, run: Run, census: PodCensus) -> None:
        before = run.state in (InjectionState.PLANNED, InjectionState.PREFLIGHT)
        with transaction.atomic():
            if not _prove_fence(run.id, run.fence):
                return
            known = {record.uid: record for record in PodRecord.objects.filter(injection=run.id)}
            changed = merge_census(run.id, known, census, before=before)
            if changed:
                PodRecord.objects.bulk_create(
                    changed,
                    update_conflicts=True,
                    unique_fields=["injection", "uid"],
                    update_fields=[
                        "namespace",
                        "name",
                        "node",
                        "phase",
                        "ready",
                        "restarts",
                        "restarts_before",
                        "source",
                        "last_seen_at",
                        "gone_at",
                        "reason",
                        "existed_before",
                        "worst_reason",
                        "last_unready_at",
                    ],
                )
            if run.marks.get("injecting"):
                _alarm_of_terminations(run, list(known.values()))

    @with_deadline
    def write_rehearsals(self, run: Run, results: Iterable[Rehearsed]) -> None:
        with transaction.atomic():
            if _prove_fence(run.id, run.fence):
                store_rehearsals(run.id, results)

    @with_deadline
    def unrehearsed(self, run: Run, nodes: Iterable[str]) -> list[str]:
        return unrehearsed_nodes(run.id, nodes)

    @with_deadline
    def close(self, run: Run, at: dt.datetime) -> Run | None:
        with transaction.atomic():
            if not _prove_fence(run.id, run.fence):
                return None
            injection = Injection.objects.select_for_update().get(pk=run.id)
            if injection.state != InjectionState.OBSERVING:
                return None
            judged = judge_run(injection, ended_at=at)
            injection.verdict = judged.verdict
            injection.reason = judged.reason
            injection.judgement = judged.lines
            injection.state = InjectionState.CLEAN
            injection.ended_at = at
            injection.save(update_fields=["verdict", "reason", "judgement", "state", "ended_at"])
            _entry(
                run.id,
                EntryKind.STATE,
                f"{judged.verdict.label}. {judged.reason}",
                {"state": InjectionState.CLEAN, "verdict": judged.verdict},
                at=_moment(at),
            )
            record_outcomes(injection)
            end_injection(run.id)
        return self.read(run.id, run.fence)

    @with_deadline
    def give_up(self, injection_id: uuid.UUID, fence: int) -> None:
        Lease.objects.filter(injection_id=injection_id, fence=fence).update(given_up=True)

    def _forget_old_blocks(self) -> None:
        if not self._blocks:
            return
        newest = max(start for _probe, start in self._blocks)
        horizon = newest - dt.timedelta(seconds=6 * BLOCK_S)
        for key in [key for key in self._blocks if key[1] < horizon]:
            del self._blocks[key]


def _alarm_of_terminations(run: Run, records: list[PodRecord]) -> None:
    """Said once, while it happens: whoever watches must not have to count squares."""
    found = terminations(Injection.objects.get(pk=run.id), records)
    if not found.are_many:
        return
    told = TimelineEntry.objects.filter(injection_id=run.id, data__alarm=Alarm.MASS_TERMINATION)
    if not told.exists():
        _entry(
            run.id,
            EntryKind.ALARM,
            f"Mass termination: {found.sentence}",
            {"alarm": Alarm.MASS_TERMINATION, **found.as_data()},
        )


def _prove_fence(injection_id: uuid.UUID, fence: int) -> bool:
    """Raise the counter that watchers look at; the row lock holds the fence until the commit."""
    rows = Lease.objects.filter(injection_id=injection_id, fence=fence).update(
        renewals=F("renewals") + 1, given_up=False
    )
    return rows == 1


def _entry(
    injection_id: uuid.UUID,
    kind: EntryKind,
    text: str,
    data: Mapping[str, Any],
    *,
    at: dt.datetime | None = None,
) -> TimelineEntry:
    return TimelineEntry.objects.create(
        injection_id=injection_id,
        at=at or timezone.now(),
        kind=kind,
        text=redact_shapes(text),
        data=redact(dict(data)),
    )


def _moment(mark: dt.datetime | None) -> dt.datetime:
    """When an entry happened: at the moment that its move marks, so that page and timeline tell
    one time for it. A mark of a clock that goes differently would bring the entries out of order.
    """
    now = timezone.now()
    return mark if mark is not None and mark <= now < mark + _SAME_MOMENT else now


def _as_run(row: Injection, fence: int) -> Run:
    marks = {name: getattr(row, f"{name}_at") for name in _MARKS}
    return Run(
        id=row.id,
        state=InjectionState(row.state),
        scenario_key=row.scenario_key,
        scenario_version=row.scenario_version,
        parameters=cast("dict[str, Any]", row.parameters),
        due_at=row.due_at,
        recipe=cast("dict[str, Any]", row.recipe),
        fingerprint=cast("dict[str, Any]", row.fingerprint),
        doubt=row.doubt,
        reason=row.reason,
        marks={name: at for name, at in marks.items() if at is not None},
        abort_requested_at=row.abort_requested_at,
        abort_requested_by=str(row.abort_requested_by or ""),
        fence=fence,
    )
