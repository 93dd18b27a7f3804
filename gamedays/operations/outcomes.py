"""What a judged run leads to: drafted findings, and the answer to a re-verification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone

from gamedays.choices import (
    FindingStatus,
    Outcome,
    Severity,
    Verdict,
    VerificationTask,
)
from gamedays.execution.judge import marks_of, measure_window, result_of
from gamedays.execution.judge_alerts import judge_alert
from gamedays.execution.pods import judge_pods, judge_terminations
from gamedays.execution.stops import judge_stop
from gamedays.models import Finding, Fix, Injection, Probe, Verification
from gamedays.scenarios.registry import get_scenario

if TYPE_CHECKING:
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
    if verification is not None:
        _evaluate(verification, injection)
    known = verification.finding.symptom if verification else None
    _draft_findings(injection, skip=known)


def symptom_of(line: Mapping[str, Any]) -> dict[str, Any]:
    """The predicate of one broken expectation, with what this run measured."""
    keys = ("kind", "key", "probe", "probe_title", "target", "window", "measured")
    symptom = {key: line[key] for key in keys}
    return symptom | dict(line["bound"])


def _draft_findings(injection: Injection, *, skip: Mapping[str, Any] | None) -> None:
    scenario = get_scenario(injection.scenario_key)
    for line in _worth_a_finding(injection):
        if skip is not None and line["key"] == skip["key"]:
            continue  # it is the very symptom that was looked for: the old finding has it
        Finding.objects.create(
            cluster=injection.cluster,
            injection=injection,
            title=line["broken_title"],
            believed=scenario.hypothesis,
            happened=line["sentence"],
            severity=_SEVERITY.get(line["kind"], Severity.MEDIUM),
            scenario_key=injection.scenario_key,
            scenario_version=injection.scenario_version,
            parameters=injection.parameters,
            symptom=symptom_of(line),
        )


def _worth_a_finding(injection: Injection) -> list[dict[str, Any]]:
    """What broke. Mass termination also in a run that is inconclusive for another reason, such as
    an abort by whoever saw it happen; it then speaks for the pods that were lost by it."""
    broke = [line for line in injection.judgement if line["result"] == "broke"]
    mass = next((line for line in broke if line["kind"] == "terminations"), None)
    if injection.verdict != Verdict.BROKE:
        return [mass] if mass and injection.bitten_at else []
    if mass is None:
        return broke
    told = {(pod["namespace"], pod["name"]) for pod in mass["measured"]["terminated"]}
    return [line for line in broke if line["kind"] != "pods" or not _pods_in(line) <= told]


def _pods_in(line: Mapping[str, Any]) -> set[tuple[str, str]]:
    measured = line["measured"]
    pods = [*measured.get("lost", []), *measured.get("late", [])]
    return {(pod["namespace"], pod["name"]) for pod in pods}


def _evaluate(verification: Verification, injection: Injection) -> None:
    # Locked, so that a person's edit cannot fall between reading the version and raising it.
    finding = Finding.objects.select_for_update().get(pk=verification.finding_id)
    outcome, explanation, measured = _look_for_symptom(finding, injection)
    fix = _fix_before(finding, injection)
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
    elif outcome == Outcome.RECURS and finding.status == FindingStatus.FIX_READY:
        finding.status = FindingStatus.FIX_IN_PROGRESS
        finding.version += 1
        finding.save(update_fields=["status", "version", "updated_at"])


def _fix_before(finding: Finding, injection: Injection) -> Fix | None:
    """The newest fix that was in place when the fault began and that no run has disproved."""
    if injection.injecting_at is None:
        return None
    fixes = Fix.objects.filter(finding=finding, fixed_since__lte=injection.injecting_at)
    again = (
        Verification.objects.filter(finding=finding, outcome=Outcome.RECURS)
        .exclude(after_fix=None)
        .order_by("-evaluated_at")
        .first()
    )
    if again is not None:
        # The symptom came back with those fixes in place. A later clean run is luck until
        # somebody has done something more.
        fixes = fixes.filter(recorded_at__gt=again.evaluated_at)
    return fixes.first()


def _look_for_symptom(
    finding: Finding, injection: Injection
) -> tuple[Outcome, str, dict[str, Any]]:
    if injection.bitten_at is None:
        return Outcome.INVALID, "The fault was not seen to bite, so the run says nothing.", {}
    if injection.doubt:
        return Outcome.INCONCLUSIVE, injection.doubt, {}
    symptom = finding.symptom
    kind, ended_at = symptom["kind"], injection.ended_at or timezone.now()
    if kind == "pods":
        return _answer(judge_pods(injection, ended_at=ended_at))
    if kind == "terminations":
        return _answer(judge_terminations(injection))
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


def _answer(line: Mapping[str, Any]) -> tuple[Outcome, str, dict[str, Any]]:
    return _BY_RESULT[line["result"]], line["sentence"], line["measured"]
