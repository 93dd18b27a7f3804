"""Whether somebody was told: an alert that has to fire soon after the fault bites.

An alert that fired before the fault, or that nobody looked at before it, proves nothing when it
fires afterwards: that is unknown, never held.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from gamedays.models import Injection, Probe, SampleBlock

BEFORE_S = 10
"""How long before the bite it must have been seen silent."""
COVERAGE = 0.7
"""Of the seconds in which it should have fired that must have been looked at, to say it did not."""
_HELD, _BROKE, _UNKNOWN = "held", "broke", "unknown"


def judge_alert(
    injection: Injection, probe: Probe, *, ended_at: dt.datetime, key: str = "alert"
) -> dict[str, Any]:
    """One line of the judgement. `ended_at`: when the watching ended."""
    within_s = int(probe.parameters.get("within_s", 60))
    result, fired_after_s, sentence = _look(injection, probe, within_s, ended_at)
    return {
        "key": f"{key}:{probe.key}",
        "title": f"“{probe.title}” fires within {within_s} s",
        "broken_title": f"Nobody was told: “{probe.title}” did not fire",
        "kind": "alert",
        "probe": probe.key,
        "probe_title": probe.title,
        "target": probe.target,
        "bound": {"within_s": within_s},
        "window": {"from": "bitten", "grace_s": 0, "to": "ended"},
        "measured": {"fired_after_s": fired_after_s},
        "result": result,
        "sentence": sentence,
    }


def _look(
    injection: Injection, probe: Probe, within_s: int, ended_at: dt.datetime
) -> tuple[str, float | None, str]:
    title, bitten = f"“{probe.title}”", injection.bitten_at
    if bitten is None:
        return _UNKNOWN, None, f"{title} has nothing to fire for: the fault was not seen to bite."
    seen = list(_samples(injection, probe))
    before = [fires for at, fires in seen if bitten - dt.timedelta(seconds=BEFORE_S) <= at < bitten]
    if not before:
        return _UNKNOWN, None, f"{title} was not looked at before the fault: unknown."
    if any(before):
        return (
            _UNKNOWN,
            None,
            f"{title} fired before the fault already, so that its firing says nothing.",
        )
    due = bitten + dt.timedelta(seconds=within_s)
    after = [(at, fires) for at, fires in seen if bitten <= at <= due]
    first = next((at for at, fires in after if fires), None)
    if first is not None:
        after_s = (first - bitten).total_seconds()
        return _HELD, round(after_s, 1), f"{title} fired {after_s:.0f} s after the bite."
    if ended_at < due:
        return _UNKNOWN, None, f"The watching ended before {title} was due: unknown."
    if len({int((at - bitten).total_seconds()) for at, _fires in after}) < COVERAGE * within_s:
        return _UNKNOWN, None, f"{title} could not be looked at often enough: unknown."
    return _BROKE, None, f"{title} did not fire within {within_s} s of the bite."


def _samples(injection: Injection, probe: Probe) -> Iterator[tuple[dt.datetime, bool]]:
    """When somebody could look, and whether it fired then; in the order of time."""
    blocks = SampleBlock.objects.filter(injection=injection, probe=probe)
    found = [
        (block.started_at + dt.timedelta(milliseconds=offset_ms), passed > 0)
        for block in blocks
        for offset_ms, passed, attempts, _latency, _detail in block.samples
        if attempts
    ]
    return iter(sorted(found))
