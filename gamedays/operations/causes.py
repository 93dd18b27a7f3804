"""What broke in a run, by cause: one cause is one finding, however many lines tell of it.

The verdict keeps every line. What is put together here is only what nobody could mend apart: lines
about the same probe in the same seconds. Another probe, or the same one at another time (it fails
during the fault, and again after the restore), is a symptom of its own and never hidden.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gamedays.choices import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gamedays.models import Injection

Line = dict[str, Any]
"""One line of a run's judgement."""
_SYMPTOM = ("kind", "key", "probe", "probe_title", "target", "window", "measured")


@dataclass(frozen=True)
class Cause:
    """The line that a re-verification measures, and what else the same cause broke."""

    lead: Line
    also: list[Line] = field(default_factory=list)


def causes_of(injection: Injection) -> list[Cause]:
    """What a finding is worth in this judged run, in the order of its judgement."""
    lines = _worth_a_finding(injection)
    leads: dict[str, Cause] = {}
    for line in lines:
        # A belief leads: its window can be edited, and a stop condition can be taken away.
        if line["kind"] == "probe" and _from_the_bite(line):
            leads.setdefault(line["probe"], Cause(line))
    causes = []
    for line in lines:
        cause = leads.get(line["probe"]) if _from_the_bite(line) else None
        if cause is None:
            causes.append(Cause(line))
        elif cause.lead is line:
            causes.append(cause)
        else:
            cause.also.append(line)
    return causes


def symptom_of(lines: Iterable[Line]) -> dict[str, Any]:
    """The predicate of the first line, with what this run measured; the others stand in `also`."""
    lead, *also = lines
    symptom = _predicate(lead)
    if also:
        symptom["also"] = [_predicate(line) | {"sentence": line["sentence"]} for line in also]
    return symptom


def sentences_of(lines: Iterable[Line]) -> str:
    return " ".join(line["sentence"] for line in lines)


def tells_of(symptom: Mapping[str, Any], key: str) -> bool:
    """Whether a finding with this symptom holds evidence for the line of that key."""
    return key == symptom["key"] or any(key == each["key"] for each in symptom.get("also", ()))


def _predicate(line: Line) -> dict[str, Any]:
    return {key: line[key] for key in _SYMPTOM} | dict(line["bound"])


def _from_the_bite(line: Line) -> bool:
    """It speaks of a probe from the moment at which the fault bit."""
    about_a_probe = line["kind"] in ("probe", "stop") and line["probe"]
    return bool(about_a_probe) and line["window"].get("from") == "bitten"


def _worth_a_finding(injection: Injection) -> list[Line]:
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


def _pods_in(line: Line) -> set[tuple[str, str]]:
    measured = line["measured"]
    pods = [*measured.get("lost", []), *measured.get("late", [])]
    return {(pod["namespace"], pod["name"]) for pod in pods}
