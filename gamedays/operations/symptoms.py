"""The symptom of a finding, edited by a person: probe, bound and window.

It is drafted from a run's evidence, and a person may know better which seconds and which probe
tell it. Two things keep that honest: the run that showed the finding has to show the edited
symptom too, measured again from its samples; and what a re-verification has judged stays as it
was judged (a trigger in the database holds that as well).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import Conflict, Invalid
from gamedays.choices import Outcome, ProbeKind, VerificationTask
from gamedays.execution.judge import marks_of, measure_window, result_of
from gamedays.models import Finding, Probe

if TYPE_CHECKING:
    from core.models import Cluster
    from gamedays.execution.judge import Measured

MARKS = {
    "bitten": "The fault bit",
    "undo_asked": "The undo was asked for",
    "undone": "It was undone",
    "restored": "It was proved restored",
    "ended": "The end of the watch",
}
"""The moments that a window may run between, in their order."""
GRACE_MAX_S = 600
_JUDGED = (Outcome.RECURS, Outcome.DOES_NOT_RECUR)


@dataclass(frozen=True, kw_only=True)
class SymptomDraft:
    """What a person asks for. `bound_percent` is the share that has to pass, in percent."""

    probe: str
    bound_percent: float
    window_from: str
    grace_s: int
    window_to: str


def probes_for_symptom(cluster: Cluster) -> list[Probe]:
    """Probes whose looks pass or fail; an alert that is expected does neither."""
    return list(Probe.objects.filter(cluster=cluster).exclude(kind=ProbeKind.ALERT_EXPECTED))


def why_symptom_stays(finding: Finding) -> str:
    """Why nobody may edit the symptom now, as a sentence; empty: a person may."""
    if finding.symptom.get("kind") != "probe":
        return "This symptom is counted over pods, alerts or stop conditions: it has no window."
    if finding.verifications.filter(outcome__in=_JUDGED).exists():
        return "A re-verification has judged this symptom, so it stays as it was judged."
    if finding.verifications.filter(task=VerificationTask.RUNNING).exists():
        return "A re-verification is looking for this symptom right now."
    return ""


def draft_of(symptom: dict[str, Any]) -> SymptomDraft:
    """The symptom as it stands, in the terms of the form."""
    window = symptom.get("window") or {}
    return SymptomDraft(
        probe=str(symptom.get("probe", "")),
        bound_percent=round(100 * float(symptom.get("min_passed_share", 0.99)), 4),
        window_from=str(window.get("from", "bitten")),
        grace_s=int(window.get("grace_s") or 0),
        window_to=str(window.get("to", "undo_asked")),
    )


def edited_symptom(finding: Finding, draft: SymptomDraft) -> dict[str, Any] | None:
    """The symptom as the draft has it, measured again on the run that showed it; None: the draft
    changes nothing. Call it with the finding's row locked.

    Raises:
        Conflict: `symptom_judged`.
        Invalid: by field, also where that run does not show the edited symptom.
    """
    if draft == draft_of(finding.symptom):
        return None
    why_not = why_symptom_stays(finding)
    if why_not:
        raise Conflict(why_not, code="symptom_judged")
    probes = {probe.key: probe for probe in probes_for_symptom(finding.cluster)}
    errors = _complaints(draft, probes)
    if errors:
        _raise(errors)
    probe = probes[draft.probe]
    window = {"from": draft.window_from, "grace_s": draft.grace_s, "to": draft.window_to}
    share = draft.bound_percent / 100
    measured = measure_window(finding.injection, probe, window, marks_of(finding.injection))
    result = result_of(measured, share)
    if measured is None or result != "broke":
        _raise(_not_shown(measured, result, probe))
    drafted = finding.symptom.get("drafted") or {
        key: finding.symptom.get(key) for key in ("probe", "min_passed_share", "window", "measured")
    }
    edited: dict[str, Any] = finding.symptom | {
        "probe": probe.key,
        "probe_title": probe.title,
        "target": probe.target,
        "min_passed_share": share,
        "window": window,
        "measured": measured.as_data() if measured else {},
        "drafted": drafted,
    }
    return edited


def symptom_words(symptom: dict[str, Any]) -> str:
    """The predicate in one sentence, for the journal."""
    draft = draft_of(symptom)
    title = symptom.get("probe_title") or draft.probe
    return (
        f"“{title}” must pass at least {draft.bound_percent:g}% "
        f"from {draft.grace_s} s after “{MARKS.get(draft.window_from, draft.window_from)}” until "
        f"“{MARKS.get(draft.window_to, draft.window_to)}”."
    )


def _complaints(draft: SymptomDraft, probes: dict[str, Probe]) -> dict[str, str]:
    errors = {}
    if draft.probe not in probes:
        errors["symptom_probe"] = (
            f"{draft.probe!r} is no probe of this cluster that passes or fails."
        )
    if not math.isfinite(draft.bound_percent) or not 0 < draft.bound_percent <= 100:
        errors["symptom_bound"] = f"{draft.bound_percent:g}% is no share: more than 0, at most 100."
    if not 0 <= draft.grace_s <= GRACE_MAX_S:
        errors["symptom_grace_s"] = f"{draft.grace_s} s is out of bounds: 0 to {GRACE_MAX_S} s."
    order = list(MARKS)
    for name, mark in (("symptom_from", draft.window_from), ("symptom_to", draft.window_to)):
        if mark not in MARKS:
            errors[name] = f"{mark!r} is none of {', '.join(MARKS)}."
    if not errors and order.index(draft.window_from) >= order.index(draft.window_to):
        errors["symptom_to"] = "The window has to end at a later moment than it begins."
    return errors


def _not_shown(measured: Measured | None, result: str, probe: Probe) -> dict[str, str]:
    if measured is None:
        return {"symptom_to": "The run that showed it has no such window: it never got that far."}
    if result == "unknown":
        return {
            "symptom_to": f"In the run that showed it, “{probe.title}” was seen in only "
            f"{measured.covered_s} of {measured.seconds:.0f} seconds of that window: too few."
        }
    return {
        "symptom_bound": f"In the run that showed it, {measured.passed} of {measured.attempts} "
        f"passed there ({measured.passed / measured.attempts:.1%}): by this bound that run does "
        "not show the symptom, so no later run could prove it gone."
    }


def _raise(errors: dict[str, str]) -> None:
    field, first = next(iter(errors.items()))
    raise Invalid(first, field=field, errors=errors)
