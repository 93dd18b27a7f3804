"""Was somebody told? An alert that is expected has to fire in its time after the fault bites.

The trap is an alert that was there before: it proves nothing about this fault. So it has to have
been looked at, silent, before anything was injected; else the answer is unknown. Unknown, too,
where the fault was taken back before the alert's time was over.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gamedays.models import SampleBlock
from gamedays.probes.alert import PENDING

if TYPE_CHECKING:
    from gamedays.models import Injection, Probe

COVERAGE = 0.7
"""Of the alert's seconds that must have been looked at before its silence means anything."""


@dataclass(frozen=True)
class Look:
    """One known look at the alert."""

    at: dt.datetime
    firing: bool
    pending: bool


@dataclass(frozen=True)
class Answer:
    result: str
    sentence: str
    fired_after_s: float | None = None


def judge_alert(
    injection: Injection, probe: Probe, *, ended_at: dt.datetime, key: str = "alert"
) -> dict[str, Any]:
    """One line of the judgement. `ended_at`: when the watching ended."""
    within_s = int(probe.parameters["within_s"])
    answer = judge_looks(
        _looks(injection, probe),
        title=probe.title,
        within_s=within_s,
        injecting=injection.injecting_at,
        bitten=injection.bitten_at,
        undo_asked=injection.undo_asked_at,
        ended=ended_at,
    )
    return {
        "key": f"{key}:{probe.key}",
        "title": f"“{probe.title}” fires within {within_s} s",
        "broken_title": f"Nobody was told: “{probe.title}” did not fire within {within_s} s",
        "kind": "alert",
        "probe": probe.key,
        "probe_title": probe.title,
        "target": probe.target,
        "bound": {"within_s": within_s},
        "window": {"from": "bitten", "grace_s": 0, "to": "ended"},
        "measured": {"fired_after_s": answer.fired_after_s},
        "result": answer.result,
        "sentence": answer.sentence,
    }


def judge_looks(
    looks: Sequence[Look],
    *,
    title: str,
    within_s: int,
    injecting: dt.datetime | None,
    bitten: dt.datetime | None,
    undo_asked: dt.datetime | None,
    ended: dt.datetime,
) -> Answer:
    """`looks`: oldest first. The clock starts at `bitten`; what fires between `injecting` and the
    bite that somebody saw was told even earlier."""
    if bitten is None:
        return _unknown(title, "the fault was not seen to bite")
    begin = injecting or bitten
    earlier = _before([look for look in looks if look.at < begin])
    if earlier:
        return _unknown(title, earlier)
    due = bitten + dt.timedelta(seconds=within_s)
    fired = next((look.at for look in looks if look.firing and look.at >= begin), None)
    after_s = None if fired is None else max(0.0, round((fired - bitten).total_seconds(), 1))
    if fired is not None and fired <= due:
        sentence = f"“{title}” fired {after_s:g} s after the fault bit, in its {within_s} s."
        return Answer("held", sentence, after_s)
    seconds = {int((look.at - bitten).total_seconds()) for look in looks if bitten <= look.at < due}
    why = ""
    if undo_asked is not None and undo_asked < due:
        why = (
            f"the fault was taken back after {(undo_asked - bitten).total_seconds():.0f} s, and "
            f"it may take {within_s} s; hold the fault for longer"
        )
    elif ended < due:
        why = f"the run ended before its {within_s} s were over"
    elif len(seconds) < COVERAGE * within_s:
        why = f"it was looked at in only {len(seconds)} of {within_s} seconds"
    if why:
        return _unknown(title, why)
    if after_s is None:
        return Answer("broke", f"“{title}” did not fire: nobody was told within {within_s} s.")
    sentence = f"“{title}” did not fire within {within_s} s, but {after_s:g} s after the fault bit."
    return Answer("broke", sentence, after_s)


def _before(looks: Sequence[Look]) -> str:
    """Why nothing that fires later can be laid to this fault; empty: it was seen silent."""
    if not looks:
        return "it was not looked at before the fault"
    if any(look.firing for look in looks):
        return "it was firing before the fault already, so it says nothing about it"
    if any(look.pending for look in looks):
        return "it was pending before the fault already, so it says nothing about it"
    return ""


def _looks(injection: Injection, probe: Probe) -> list[Look]:
    blocks = SampleBlock.objects.filter(injection=injection, probe=probe)
    return sorted(
        (
            Look(
                at=block.started_at + dt.timedelta(milliseconds=offset_ms),
                firing=bool(passed),
                pending=str(detail or "").startswith(PENDING),
            )
            for block in blocks
            for offset_ms, passed, attempts, _latency, detail in block.samples
            if attempts
        ),
        key=lambda look: look.at,
    )


def _unknown(title: str, why: str) -> Answer:
    return Answer("unknown", f"“{title}” cannot be judged: {why}.")
