"""The verdict: what was believed, held against what was measured. Never green by default."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gamedays.choices import Alarm, EntryKind, MustHold, ProbeKind, Verdict
from gamedays.execution.judge_alerts import judge_alert
from gamedays.execution.judge_meanwhile import judge_happening
from gamedays.execution.pods import judge_pods, judge_terminations
from gamedays.execution.stops import judge_stop
from gamedays.execution.world import Judged
from gamedays.models import Injection, Probe, SampleBlock
from gamedays.probes.registry import KINDS
from gamedays.scenarios.base import Expectation, Window
from gamedays.scenarios.plan import happenings_of
from gamedays.scenarios.registry import get_scenario

COVERAGE = 0.7
"""Of the seconds of a window that must have a known sample, or the answer is unknown. A sample
is due every second; slow answers and a busy machine cost some of them."""
WINDOW_MIN_S = 5
"""A shorter window says too little to call anything held or broken."""
MUST_HOLD_SHARE = 0.99
"""Of the attempts of a probe that people marked: one lost packet is no outage."""
_MUST_HOLD = {
    MustHold.THROUGHOUT: "holds from the bite to the end",
    MustHold.AFTERWARDS: "holds once the cluster is restored",
}
_JUDGED_ALARMS = (Alarm.MASS_TERMINATION, Alarm.STOP_CONDITION)
"""These have a line of their own in the judgement; every other alarm leaves a doubt."""
_HELD, _BROKE, _UNKNOWN = "held", "broke", "unknown"


@dataclass(frozen=True)
class Measured:
    """What one probe showed in one window."""

    passed: int
    attempts: int
    samples: int
    unknown: int
    seconds: float
    covered_s: int

    @property
    def known(self) -> bool:
        needed = max(WINDOW_MIN_S, COVERAGE * math.floor(self.seconds))
        return self.attempts > 0 and self.covered_s >= needed

    def as_data(self) -> dict[str, Any]:
        return {
            "passed": self.passed,
            "attempts": self.attempts,
            "samples": self.samples,
            "unknown_samples": self.unknown,
            "seconds": round(self.seconds, 1),
            "covered_s": self.covered_s,
        }


def marks_of(injection: Injection, *, ended_at: dt.datetime | None = None) -> dict[str, Any]:
    return {
        "bitten": injection.bitten_at,
        "undo_asked": injection.undo_asked_at,
        "undone": injection.undone_at,
        "restored": injection.restored_at,
        "ended": ended_at or injection.ended_at,
    }


def judge_run(injection: Injection, *, ended_at: dt.datetime) -> Judged:
    """Judge a run that is restored and was watched to its end."""
    scenario = get_scenario(injection.scenario_key)
    marks = marks_of(injection, ended_at=ended_at)
    probes = list(Probe.objects.filter(cluster=injection.cluster_id, enabled=True))
    lines: list[dict[str, Any]] = []
    for expectation in scenario.expectations(injection.parameters):
        fitting = [
            probe
            for probe in probes
            if _speaks_of(expectation, probe)
            and not (expectation.whole_cluster_only and probe.target)
        ]
        lines += [_judge_probe(injection, expectation, probe, marks) for probe in fitting]
        if not fitting and expectation.required:
            lines.append(_without_probe(expectation))
    lines += _judge_what_must_hold(injection, probes, marks, lines)
    if scenario.judges_pods:
        lines.append(judge_pods(injection, ended_at=ended_at))
    lines.append(judge_terminations(injection))
    lines += [judge_happening(injection, each) for each in happenings_of(injection.recipe)]
    lines += _judge_stops(injection, probes, marks)
    verdict, reason = _verdict(injection, lines, probes)
    return Judged(verdict=verdict, reason=reason, lines=lines)


def measure(
    injection: Injection, probe: Probe, *, start: dt.datetime, end: dt.datetime
) -> Measured:
    """Count one probe's samples of a window from the stored blocks."""
    blocks = SampleBlock.objects.filter(
        injection=injection,
        probe=probe,
        started_at__gte=start - dt.timedelta(seconds=20),
        started_at__lt=end,
    )
    return count(((b.started_at, b.samples) for b in blocks), start=start, end=end)


def count(
    blocks: Iterable[tuple[dt.datetime, Sequence[Sequence[Any]]]],
    *,
    start: dt.datetime,
    end: dt.datetime,
) -> Measured:
    passed = attempts = samples = unknown = 0
    seconds_seen = set()
    for block_start, rows in blocks:
        for offset_ms, good, tries, _latency, _detail in rows:
            at = block_start + dt.timedelta(milliseconds=offset_ms)
            if not start <= at < end:
                continue
            samples += 1
            passed += good
            attempts += tries
            if tries:
                seconds_seen.add(int((at - start).total_seconds()))
            else:
                unknown += 1
    return Measured(
        passed=passed,
        attempts=attempts,
        samples=samples,
        unknown=unknown,
        seconds=max(0.0, (end - start).total_seconds()),
        covered_s=len(seconds_seen),
    )


def measure_window(
    injection: Injection, probe: Probe, window: Mapping[str, Any], marks: Mapping[str, Any]
) -> Measured | None:
    """`window` as in a symptom: `from`, `grace_s`, `to`. None: a mark is missing or it is empty."""
    start, end = marks.get(window["from"]), marks.get(window["to"])
    if start is None or end is None:
        return None
    start = start + dt.timedelta(seconds=window["grace_s"])
    if end <= start:
        return None
    return measure(injection, probe, start=start, end=end)


def result_of(measured: Measured | None, min_passed_share: float) -> str:
    if measured is None or not measured.known:
        return _UNKNOWN
    return _HELD if measured.passed >= min_passed_share * measured.attempts else _BROKE


def why_not_by_itself(injection: Injection) -> str:
    """Why what was good at the end may be somebody's doing, as a sentence; empty: no such sign."""
    alarms = injection.timeline.filter(kind=EntryKind.ALARM)
    if all(entry.data.get("alarm") in _JUDGED_ALARMS for entry in alarms):
        return ""
    return "The way back was stuck and raised an alarm: what recovered it is not known."


def _judge_probe(
    injection: Injection, expectation: Expectation, probe: Probe, marks: Mapping[str, Any]
) -> dict[str, Any]:
    if probe.kind == ProbeKind.ALERT_EXPECTED:
        return judge_alert(injection, probe, ended_at=marks["ended"], key=expectation.key)
    window = {
        "from": expectation.window.start,
        "grace_s": expectation.window.grace_s,
        "to": expectation.window.end,
    }
    measured = measure_window(injection, probe, window, marks)
    result = result_of(measured, expectation.min_passed_share)
    return {
        "key": f"{expectation.key}:{probe.key}",
        "title": expectation.title,
        "broken_title": expectation.broken_title,
        "kind": "probe",
        "probe": probe.key,
        "probe_title": probe.title,
        "target": probe.target,
        "bound": {"min_passed_share": expectation.min_passed_share},
        "window": window,
        "measured": measured.as_data() if measured else {},
        "result": result,
        "sentence": _sentence(probe.title, measured, expectation.min_passed_share, result),
    }


def _speaks_of(expectation: Expectation, probe: Probe) -> bool:
    """Users' requests are seen by whatever their cluster's people say that a user would feel."""
    if probe.kind == expectation.probe_kind:
        return True
    return (
        expectation.probe_kind == ProbeKind.HTTP
        and probe.felt_by_users
        and KINDS[probe.kind].users_may_feel
    )


def _judge_what_must_hold(
    injection: Injection,
    probes: list[Probe],
    marks: Mapping[str, Any],
    lines: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Probes that people marked. What the scenario believes of a probe goes first."""
    judged = {line["probe"] for line in lines}
    return [
        _judge_probe(
            injection,
            Expectation(
                key="must-hold",
                title=f"“{probe.title}” {_MUST_HOLD[MustHold(probe.must_hold)]}",
                broken_title=f"“{probe.title}” did not hold",
                probe_kind=ProbeKind(probe.kind),
                min_passed_share=MUST_HOLD_SHARE,
                window=Window(
                    start="bitten" if probe.must_hold == MustHold.THROUGHOUT else "restored",
                    end="ended",
                    grace_s=0 if probe.must_hold == MustHold.THROUGHOUT else 2,
                ),
            ),
            probe,
            marks,
        )
        for probe in probes
        if probe.must_hold != MustHold.SCENARIO and probe.key not in judged
    ]


def _judge_stops(
    injection: Injection, probes: list[Probe], marks: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Stop conditions that were met, or seen not to be. What they could not see is no belief of
    the scenario's and makes nothing unknown."""
    window = {"from": "bitten", "grace_s": 0, "to": "undo_asked"}
    lines = [
        judge_stop(injection, probe, measure_window(injection, probe, window, marks))
        for probe in probes
        if probe.abort_after_s is not None
    ]
    return [line for line in lines if line["result"] != _UNKNOWN]


def _without_probe(expectation: Expectation) -> dict[str, Any]:
    """What was believed and nobody looked at: unknown, or the run would be green by default."""
    return {
        "key": expectation.key,
        "title": expectation.title,
        "broken_title": expectation.broken_title,
        "kind": "probe",
        "probe": "",
        "probe_title": "",
        "target": "",
        "bound": {"min_passed_share": expectation.min_passed_share},
        "window": {},
        "measured": {},
        "result": _UNKNOWN,
        "sentence": f"“{expectation.title}” was not looked at: the cluster has no probe of the "
        f"kind “{expectation.probe_kind.label}”. Unknown.",
    }


def _sentence(title: str, measured: Measured | None, bound: float, result: str) -> str:
    if result == _UNKNOWN or measured is None:
        if measured is None:
            return f"“{title}” has no window to judge: the run did not get that far."
        if measured.seconds < WINDOW_MIN_S:
            return (
                f"“{title}” can be judged for {measured.seconds:.0f} s only, and {WINDOW_MIN_S} s "
                "are the least: unknown. Hold the fault for longer, or watch longer afterwards."
            )
        return (
            f"“{title}” was seen in only {measured.covered_s} of {measured.seconds:.0f} seconds: "
            "unknown."
        )
    failed = measured.attempts - measured.passed
    return (
        f"“{title}”: {failed} of {measured.attempts} failed "
        f"({measured.passed / measured.attempts:.1%} passed, at least {bound:.0%} were expected)."
    )


def _verdict(
    injection: Injection, lines: list[dict[str, Any]], probes: list[Probe]
) -> tuple[Verdict, str]:
    if injection.doubt:
        return Verdict.INCONCLUSIVE, injection.doubt
    if injection.bitten_at is None:
        return Verdict.INCONCLUSIVE, "The fault was never seen to bite."
    broke = [line["sentence"] for line in lines if line["result"] == _BROKE]
    if broke:
        return Verdict.BROKE, " ".join(broke)
    unknown = [line["sentence"] for line in lines if line["result"] == _UNKNOWN]
    if unknown:
        return Verdict.INCONCLUSIVE, " ".join(unknown)
    if why := why_not_by_itself(injection):
        return Verdict.INCONCLUSIVE, why
    judged = {line["probe"] for line in lines}
    if not any(probe.felt_by_users and probe.key in judged for probe in probes):
        return (
            Verdict.INCONCLUSIVE,
            "No probe that a user would feel was looked at, so nothing can be said to have held.",
        )
    return Verdict.HELD, "Everything that was believed was measured, and held."
