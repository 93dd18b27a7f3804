"""Samples of a run: for the chart, and in figures beside it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from gamedays.choices import PodSource, ProbeKind
from gamedays.models import PodRecord, Probe, SampleBlock
from gamedays.selectors.looks import Sample, samples_of, samples_since
from gamedays.selectors.runs import marks

if TYPE_CHECKING:
    from gamedays.models import Injection

_STALE_S = 6
"""A probe whose newest sample is older than this, while the run goes on, is unknown."""
_ALERT_STATE = {"steady": "alert_firing", "failing": "alert_silent", "unknown": "unknown"}
_API_KINDS = (ProbeKind.API_READ, ProbeKind.API_READYZ, ProbeKind.CANARY_WRITE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFigures:
    """One probe's line in the table: now, and its shares while the fault was live and after."""

    probe: Probe
    state: str
    """steady, failing or unknown; alert_silent or alert_firing for an alert that is expected."""
    newest: Sample | None
    detail: str
    """Why it does not pass now, or why it is unknown."""
    during: float | None
    after: float | None
    lost: int
    """Samples that could not look."""
    lost_why: str
    """What most of them say about it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What the page can still see, and what it cannot."""

    api_away: bool
    sees: list[str]
    sees_not: list[str]


def probes_of(run: Injection) -> list[Probe]:
    """The cluster's probes that are on, and those that were when this run was made."""
    used = Exists(SampleBlock.objects.filter(injection=run.pk, probe=OuterRef("pk")))
    return list(Probe.objects.filter(Q(enabled=True) | used, cluster=run.cluster_id))


def samples_payload(run: Injection, after_ms: int | None = None) -> dict[str, Any]:
    """What the chart asks for each second. Times are milliseconds since 1970."""
    probes = probes_of(run)
    found = samples_since(run, after_ms)
    return {
        "now": int(timezone.now().timestamp() * 1000),
        "state": run.state,
        "final": run.is_final,
        "marks": [
            {"key": m.key, "word": m.word, "at": int(m.at.timestamp() * 1000)} for m in marks(run)
        ],
        "probes": [
            {"key": p.key, "title": p.title, "target": p.target, "kind": p.kind} for p in probes
        ],
        "samples": {p.key: [s.as_row() for s in found.get(p.pk, [])] for p in probes},
    }


def probe_figures(run: Injection) -> list[ProbeFigures]:
    """Every probe in figures."""
    found = samples_of(run)
    return [_figures(run, probe, found.get(probe.pk, [])) for probe in probes_of(run)]


def _figures(run: Injection, probe: Probe, samples: list[Sample]) -> ProbeFigures:
    newest = samples[-1] if samples else None
    # Looks at an alert neither pass nor fail: it is silent, and is to fire in time.
    alert = probe.kind == ProbeKind.ALERT_EXPECTED
    state = _state(run, samples)
    lost = [sample.detail for sample in samples if sample.attempts == 0]
    lately = [sample.detail for sample in _latest(samples) if sample.detail]
    return ProbeFigures(
        probe=probe,
        state=_ALERT_STATE[state] if alert else state,
        newest=newest,
        detail=lately[-1] if lately and state != "steady" else "",
        during=None if alert else _share(samples, run.bitten_at, run.undo_asked_at),
        after=None if alert else _share(samples, run.restored_at, run.ended_at),
        lost=len(lost),
        lost_why=Counter(lost).most_common(1)[0][0] if lost else "",
    )


def _latest(samples: list[Sample]) -> list[Sample]:
    """The looks of the last few seconds that were looked in, oldest first."""
    return [s for s in samples if s.at_ms > samples[-1].at_ms - _STALE_S * 1000]


def _state(run: Injection, samples: list[Sample]) -> str:
    """One look that passed between others that could not be made says too little."""
    newest = samples[-1] if samples else None
    if newest is None or newest.attempts == 0:
        return "unknown"
    latest = _latest(samples)
    if 2 * sum(sample.attempts == 0 for sample in latest) > len(latest):
        return "unknown"
    if not run.is_final and timezone.now().timestamp() * 1000 - newest.at_ms > _STALE_S * 1000:
        return "unknown"
    return "steady" if newest.passed == newest.attempts else "failing"


def _share(
    samples: list[Sample], begin: dt.datetime | None, end: dt.datetime | None
) -> float | None:
    if begin is None:
        return None
    first = begin.timestamp() * 1000
    last = end.timestamp() * 1000 if end else float("inf")
    window = [s for s in samples if first <= s.at_ms <= last and s.attempts]
    attempts = sum(sample.attempts for sample in window)
    return sum(sample.passed for sample in window) / attempts if attempts else None


def sight(run: Injection, figures: list[ProbeFigures]) -> Sight:
    """What we can see right now. The API counts as away when no read through it passes."""
    reads = [f for f in figures if f.probe.kind == ProbeKind.API_READ] or [
        f for f in figures if f.probe.kind == ProbeKind.API_READYZ and not f.probe.target
    ]
    api_away = bool(reads) and all(
        f.state == "failing" and f.newest is not None and f.newest.passed == 0 for f in reads
    )
    others = [f for f in figures if f.probe.kind not in _API_KINDS]
    sees = [f.probe.title for f in others if f.state != "unknown"]
    sees_not = [f.probe.title for f in figures if f.state == "unknown"]
    if api_away:
        if PodRecord.objects.filter(injection=run, source=PodSource.GUARD).exists():
            sees.append("which pods still run, as the guards see it on their nodes")
        sees_not += ["whether pods are ready, restart or are born", "events of the cluster"]
    return Sight(api_away=api_away and not run.is_final, sees=sees, sees_not=sees_not)
