"""One run as its page shows it: where it stands, what was written down, what comes next."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.errors import NotFound
from gamedays.choices import Alarm, EntryKind, InjectionState
from gamedays.models import Finding, Injection, Recurrence, TimelineEntry

if TYPE_CHECKING:
    import uuid

    from django.db.models import QuerySet

    from core.models import User

_S = InjectionState
_EVIDENCE_PER_STEP = 3


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of the run that the chart draws."""

    key: str
    word: str
    at: dt.datetime


@dataclass(frozen=True, slots=True)
class Warned:
    """One alarm of the run."""

    key: str
    word: str
    text: str
    at: dt.datetime


@dataclass(slots=True)
class Step:
    """One phase of the stepper."""

    key: str
    title: str
    meaning: str
    """What it means while it is under way."""
    at: dt.datetime | None
    title_now: str = ""
    """Its name while it is under way, or where the road ended in it: nothing is done before it
    is done."""
    status: str = "todo"
    """todo, now, done, skipped, failed."""
    evidence: list[TimelineEntry] = field(default_factory=list)
    asked_at: dt.datetime | None = None


def runs(user: User) -> QuerySet[Injection]:
    return Injection.objects.visible_to(user).select_related(
        "cluster__team",
        "agenda_item__gameday__facilitator",
        "agenda_item__gameday__cluster",
        "asked_by",
        "abort_requested_by",
    )


def run_with_id(user: User, run_id: uuid.UUID) -> Injection:
    """The run of that id. Raises `NotFound`, to outsiders too."""
    found = runs(user).filter(pk=run_id).first()
    if found is None:
        raise NotFound(f"There is no run {run_id} among those that you may see.")
    return found


def live_runs(user: User) -> list[Injection]:
    """Every fault that holds a slot, on clusters that the person may see."""
    return list(Injection.objects.visible_to(user).live().select_related("cluster"))


def timeline(run: Injection) -> list[TimelineEntry]:
    """Everything that was written down, oldest first."""
    return list(run.timeline.select_related("actor"))


def alarms(entries: list[TimelineEntry]) -> list[Warned]:
    """What nobody must overlook, the newest first. That the way back is stuck has a place of its
    own on the page."""
    return [
        Warned(key, Alarm(key).label, entry.text, entry.at)
        for entry in reversed(entries)
        if entry.kind == EntryKind.ALARM
        for key in [entry.data.get("alarm", Alarm.STUCK)]
        if key in Alarm.values and key != Alarm.STUCK
    ]


def findings_of(run: Injection) -> list[Finding]:
    return list(run.findings.order_by("created_at"))


def seen_again(run: Injection) -> list[Recurrence]:
    """Open findings that this run gave new evidence to."""
    return list(run.recurrences.select_related("finding").order_by("seen_at", "id"))


def marks(run: Injection) -> list[Mark]:
    """The moments that the chart marks, in their order."""
    moments = (
        ("armed", "Armed", run.armed_at),
        ("bitten", "Bitten", run.bitten_at),
        ("undo_asked", "Undo", run.undo_asked_at),
        ("restored", "Restored", run.restored_at),
        ("ended", "End", run.ended_at if run.bitten_at else None),
    )
    return [Mark(key, word, at) for key, word, at in moments if at is not None]


def steps(run: Injection, entries: list[TimelineEntry]) -> list[Step]:
    """The phases with their times, and the evidence that was written down in each."""
    rows = [
        Step("asked", "Asked for", "A person or the clock asked for it.", run.asked_at),
        Step(
            "preflight",
            "Steady state checked",
            "Is it the marked cluster, do its guards answer, does every probe pass?",
            run.preflight_at,
            "Checking the steady state",
        ),
        Step(
            "armed",
            "Armed",
            "The way back is being written to the nodes' disks, and read back.",
            run.armed_at,
            "Arming",
        ),
        Step(
            "bitten",
            "Fault seen to bite",
            "The fault holds until the undo."
            if run.bitten_at
            else "Asked for; not seen to bite yet.",
            run.bitten_at,
            "" if run.bitten_at else "Injecting",
        ),
        Step(
            "undone",
            "Undo",
            "Requested; not confirmed yet.",
            run.undone_at,
            "Undoing",
            asked_at=run.undo_asked_at,
        ),
        Step(
            "restored",
            "Restored",
            "Fingerprint, processes, health and a canary are looked at until all of them agree.",
            run.restored_at,
            "Proving it restored",
        ),
        Step(
            "ended",
            "Watched to the end",
            "It is back, and we go on looking: evictions and crash loops come late.",
            # A run that was refused or signed for by hand ended too, and nobody watched it.
            run.ended_at if run.state == _S.CLEAN else None,
            "Watching to the end",
        ),
    ]
    _set_status(run, rows)
    _share_out(rows, entries)
    return rows


_AT = {
    _S.PLANNED: "preflight",
    _S.PREFLIGHT: "preflight",
    _S.ARMING: "armed",
    _S.ARMED: "bitten",
    _S.INJECTING: "bitten",
    _S.ACTIVE: "undone",
    _S.UNDOING: "undone",
    _S.VERIFYING: "restored",
    _S.OBSERVING: "ended",
}
"""Which step is waited for in which state."""


def _set_status(run: Injection, rows: list[Step]) -> None:
    waited_for = _AT.get(InjectionState(run.state))
    stuck_in = 4 if run.undone_at is None else 5
    if run.state == _S.UNDO_STUCK:
        waited_for = rows[stuck_in].key
    reached = next((i for i, row in enumerate(rows) if row.key == waited_for), len(rows))
    for position, row in enumerate(rows):
        if position < reached:
            row.status = "done" if row.at is not None else "skipped"
        elif position == reached:
            row.status = "now"
    # A time of `preflight_at` is its beginning: a refusal is where the road ended.
    if run.state == _S.REFUSED:
        rows[1].status = "failed"
    if run.state == _S.UNDO_STUCK:
        rows[stuck_in].status = "failed"
    if run.state == _S.ACTIVE:
        # The fault holds: that is the phase we are in, though the next mark is the undo.
        rows[3].status = "now"
        rows[4].status = "todo"
    for row in rows:
        if row.status in ("now", "failed"):
            row.title = row.title_now or row.title


_HOME = {
    _S.PREFLIGHT: "preflight",
    _S.REFUSED: "preflight",
    _S.ARMING: "armed",
    _S.ARMED: "armed",
    _S.INJECTING: "bitten",
    _S.ACTIVE: "bitten",
    _S.UNDOING: "undone",
    _S.VERIFYING: "undone",
    _S.OBSERVING: "restored",
    _S.CLEAN: "ended",
}
"""Which step an entry tells about that says which state it led to."""


def _share_out(rows: list[Step], entries: list[TimelineEntry]) -> None:
    """Give each entry to the step that it tells about; an alarm to where the run stood then."""
    by_key = {row.key: row for row in rows}
    current = next((row for row in rows if row.status in ("now", "failed")), rows[-1])
    for entry in entries:
        key = _HOME.get(entry.data.get("state", ""))
        if entry.kind == EntryKind.ALARM:
            at = _step_at(rows, entry.at, current)
            if entry.data.get("state") == _S.UNDO_STUCK:
                # With checks: it was undone by then, and could not be proved restored.
                at = by_key["restored" if "checks" in entry.data else "undone"]
            at.evidence.append(entry)
        elif key is not None:
            by_key[key].evidence.append(entry)
        elif entry.kind == EntryKind.EVIDENCE:
            _step_at(rows, entry.at, current).evidence.append(entry)
    for row in rows:
        row.evidence = row.evidence[-_EVIDENCE_PER_STEP:]


def _step_at(rows: list[Step], at: dt.datetime, current: Step) -> Step:
    """The step whose mark evidence of that moment led to: the next mark after it."""
    slack = dt.timedelta(milliseconds=500)
    return next((row for row in rows if row.at is not None and at <= row.at + slack), current)
