"""What a judged run leads to: drafted findings, and the answer to a re-verification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import Max, Q
from django.utils import timezone

from core.texts import shorten
from gamedays.choices import (
    FindingStatus,
    Outcome,
    Severity,
    VerificationTask,
)
from gamedays.execution.judge import marks_of, measure_window, result_of, why_not_by_itself
from gamedays.execution.judge_alerts import judge_alert
from gamedays.execution.judge_meanwhile import judge_happening
from gamedays.execution.pods import judge_pods, judge_terminations
from gamedays.execution.stops import judge_stop, met_conditions
from gamedays.models import Finding, Fix, Injection, Probe, Recurrence, Verification
from gamedays.models.finding import TITLE_MAX
from gamedays.operations.causes import Line, causes_of, sentences_of, symptom_of, tells_of
from gamedays.scenarios.plan import happenings_of
from gamedays.scenarios.registry import get_scenario

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

_BY_RESULT = {
    "held": Outcome.DOES_NOT_RECUR,
    "broke": Outcome.RECURS,
    "unknown": Outcome.INCONCLUSIVE,
}

_SEVERITY = {"terminations": Severity.CRITICAL, "pods": Severity.HIGH}


def record_outcomes(injection: Injection) -> None:
    """Called once, in the transaction that makes the run clean."""
    verification = (
        Verification.objects.filter(gameday=injection.agenda_item.gameday_id)
        .select_related("finding")
        .first()
    )
    told = None
    if verification is not None and _evaluate(verification, injection) == Outcome.RECURS:
        told = verification.finding
    _draft_findings(injection, told=told)


def _draft_findings(injection: Injection, *, told: Finding | None) -> None:
    """A finding for what is new; evidence for what is known. `told` is the finding that the run
    was asked to look for and showed: its re-verification says so already."""
    evidence: dict[int, tuple[Finding, list[Line]]] = {}
    for cause in causes_of(injection):
        if told is not None and tells_of(told.symptom, cause.lead["key"]):
            continue
        known = _open_finding(injection, cause.lead["key"])
        new = []
        for line in (cause.lead, *cause.also):
            if told is not None and tells_of(told.symptom, line["key"]):
                continue
            finding = _open_finding(injection, line["key"]) or known
            if finding is None:
                new.append(line)
            else:
                evidence.setdefault(finding.pk, (finding, []))[1].append(line)
        if new:
            _draft_finding(injection, new)
    for finding, lines in evidence.values():
        _add_evidence(finding, injection, lines)


def _draft_finding(injection: Injection, lines: list[Line]) -> None:
    Finding.objects.create(
        cluster=injection.cluster,
        injection=injection,
        title=shorten(lines[0]["broken_title"], TITLE_MAX),
        believed=get_scenario(injection.scenario_key).hypothesis,
        happened=sentences_of(lines),
        severity=_SEVERITY.get(lines[0]["kind"], Severity.MEDIUM),
        scenario_key=injection.scenario_key,
        scenario_version=injection.scenario_version,
        parameters=injection.parameters,
        symptom=symptom_of(lines),
    )


def _open_finding(injection: Injection, key: str) -> Finding | None:
    """The finding that this symptom has already, as long as nothing proved it fixed; one of its
    own before one that holds it beside another. Another version of the scenario is another belief,
    and could not be re-verified in its name."""
    found = (
        Finding.objects.select_for_update()
        .filter(
            Q(symptom__key=key) | Q(symptom__also__contains=[{"key": key}]),
            cluster=injection.cluster_id,
            scenario_key=injection.scenario_key,
            scenario_version=injection.scenario_version,
        )
        .exclude(status=FindingStatus.VERIFIED_FIXED)
        .order_by("created_at")
    )
    # `sorted` keeps the order of what is alike: the oldest first.
    return next(iter(sorted(found, key=lambda finding: finding.symptom["key"] != key)), None)


def _add_evidence(finding: Finding, injection: Injection, lines: list[Line]) -> None:
    outcome, _sentence, _measured = _look_for_symptom(finding, injection)
    fix = _fix_before(finding, injection) if outcome == Outcome.RECURS else None
    Recurrence.objects.create(
        finding=finding,
        injection=injection,
        happened=sentences_of(lines),
        measured=lines[0]["measured"],
        after_fix=fix,
    )
    if fix is not None:
        _fix_did_not_help(finding)


def _fix_did_not_help(finding: Finding) -> None:
    if finding.status == FindingStatus.FIX_READY:
        finding.status = FindingStatus.FIX_IN_PROGRESS
        finding.version += 1
        finding.save(update_fields=["status", "version", "updated_at"])


def _evaluate(verification: Verification, injection: Injection) -> Outcome:
    # Locked, so that a person's edit cannot fall between reading the version and raising it.
    finding = Finding.objects.select_for_update().get(pk=verification.finding_id)
    outcome, explanation, measured = _look_for_symptom(finding, injection)
    # A symptom that is seen counts in every run; one that is not, only in a run that was whole.
    if outcome == Outcome.DOES_NOT_RECUR and (
        why := _cut_short(injection) or why_not_by_itself(injection)
    ):
        outcome, explanation = Outcome.INCONCLUSIVE, f"{why} {explanation}"
    if outcome == Outcome.RECURS:
        explanation += _what_else_it_broke(finding, injection)
    fix = _fix_before(finding, injection, on_record=outcome == Outcome.DOES_NOT_RECUR)
    verification.injection = injection
    verification.task = VerificationTask.EVALUATED
    verification.outcome = outcome
    verification.measured = measured
    verification.after_fix = fix
    verification.evaluated_at = timezone.now()
    verification.explanation = explanation
    if outcome == Outcome.DOES_NOT_RECUR and fix is None:
        verification.explanation += (
            " But no fix was recorded before this run that had not been disproved, so it proves "
            "nothing about one: record the fix with the time since when it is in place, and "
            "re-verify."
        )
    verification.save()
    if outcome == Outcome.DOES_NOT_RECUR and fix is not None:
        finding.status = FindingStatus.VERIFIED_FIXED
        finding.proof = verification
        finding.version += 1
        finding.save(update_fields=["status", "proof", "version", "updated_at"])
    elif outcome == Outcome.RECURS:
        _fix_did_not_help(finding)
    return outcome


def _what_else_it_broke(finding: Finding, injection: Injection) -> str:
    """Of the cause that the symptom tells of: it drafts no finding beside this one."""
    for cause in causes_of(injection):
        if tells_of(finding.symptom, cause.lead["key"]):
            return "".join(f" {line['sentence']}" for line in cause.also)
    return ""


def _fix_before(finding: Finding, injection: Injection, *, on_record: bool = False) -> Fix | None:
    """The newest fix that was in place when the fault began and that no run has disproved.

    `on_record`: it had been recorded by then, too. One that is written down later and dated back
    would turn a run that was lucky without it into a proof; what a run *disproves* may have been
    recorded at any time.
    """
    if injection.injecting_at is None:
        return None
    fixes = Fix.objects.filter(finding=finding, fixed_since__lte=injection.injecting_at)
    if on_record:
        fixes = fixes.filter(recorded_at__lte=injection.injecting_at)
    # Where the symptom came back with fixes in place, a later clean run is luck until somebody has
    # done something more.
    asked = Verification.objects.filter(finding=finding, outcome=Outcome.RECURS)
    by_chance = Recurrence.objects.filter(finding=finding)
    for runs, when in ((asked, "evaluated_at"), (by_chance, "seen_at")):
        last = runs.exclude(after_fix=None).aggregate(at=Max(when))["at"]
        if last is not None:
            fixes = fixes.filter(recorded_at__gt=last)
    return fixes.first()


def _cut_short(injection: Injection) -> str:
    """Why the fault was not the same one to its end, as a sentence; empty: it was."""
    met = met_conditions(injection)
    if not met or injection.bitten_at is None or injection.undo_asked_at is None:
        return ""
    seconds = (injection.undo_asked_at - injection.bitten_at).total_seconds()
    return (
        f"A stop condition ({', '.join(sorted(met))}) cut short the fault after {seconds:.0f} s, "
        "and the symptom may need all of it to show: mend that first, then re-verify."
    )


def _look_for_symptom(
    finding: Finding, injection: Injection
) -> tuple[Outcome, str, dict[str, Any]]:
    if injection.bitten_at is None:
        return Outcome.INVALID, "The fault was not seen to bite, so the run says nothing.", {}
    if injection.doubt:
        return Outcome.INCONCLUSIVE, injection.doubt, {}
    symptom = finding.symptom
    kind, ended_at = symptom["kind"], injection.ended_at or timezone.now()
    if kind in ("pods", "terminations", "meanwhile"):
        return _count_pods(symptom, injection, ended_at)
    probe = Probe.objects.filter(cluster=injection.cluster_id, key=symptom["probe"]).first()
    if probe is None:
        return Outcome.INVALID, f"The probe {symptom['probe']!r} is not there any more.", {}
    measured = measure_window(injection, probe, symptom["window"], marks_of(injection))
    if kind in ("alert", "stop"):
        line = (
            judge_alert(injection, probe, ended_at=ended_at)
            if kind == "alert"
            else judge_stop(injection, probe, measured)
        )
        return _answer(line)
    result = result_of(measured, symptom["min_passed_share"])
    if measured is None or result == "unknown":
        return (
            Outcome.INVALID,
            "The samples of the window are not complete.",
            (measured.as_data() if measured else {}),
        )
    failed = measured.attempts - measured.passed
    explanation = (
        f"“{probe.title}”: {failed} of {measured.attempts} failed in the symptom's window; at "
        f"least {symptom['min_passed_share']:.0%} have to pass."
    )
    return _BY_RESULT[result], explanation, measured.as_data()


def _count_pods(
    symptom: Mapping[str, Any], injection: Injection, ended_at: dt.datetime
) -> tuple[Outcome, str, dict[str, Any]]:
    """A symptom that the ledger of pods tells, again."""
    if symptom["kind"] == "pods":
        return _answer(judge_pods(injection, ended_at=ended_at))
    if symptom["kind"] == "terminations":
        return _answer(judge_terminations(injection, ended_at=ended_at))
    for each in happenings_of(injection.recipe):
        line = judge_happening(injection, each)
        if line["key"] == symptom["key"]:
            return _answer(line)
    return Outcome.INVALID, "Nothing of that kind was to happen in this run.", {}


def _answer(line: Mapping[str, Any]) -> tuple[Outcome, str, dict[str, Any]]:
    return _BY_RESULT[line["result"]], line["sentence"], line["measured"]
