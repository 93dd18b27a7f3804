"""Runs and symptoms in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.errors import NotFound
from gamedays.scenarios.plan import faults_of
from gamedays.scenarios.registry import get_scenario

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gamedays.models import AgendaItem, Finding, Injection
    from gamedays.scenarios.base import Scenario

_MARKS = {
    "bitten": "the fault bit",
    "undo_asked": "the undo was asked for",
    "undone": "it was undone",
    "restored": "it was proved restored",
    "ended": "the end of the watch",
}


def scenario_or_none(key: str) -> Scenario | None:
    """A scenario that the rows still name may have left the code since."""
    try:
        return get_scenario(key)
    except NotFound:
        return None


def scenario_title(key: str) -> str:
    scenario = scenario_or_none(key)
    return scenario.title if scenario else key.replace("-", " ").capitalize()


def hold_s(planned: Injection | AgendaItem) -> int | None:
    value = planned.parameters.get("hold_s")
    return int(value) if isinstance(value, int | float) else None


def where(injection: Injection) -> str:
    """`qa-1`, or `3 nodes`; empty while nothing has chosen the nodes yet."""
    nodes = nodes_of(injection)
    if len(nodes) > 1:
        return f"{len(nodes)} nodes"
    return nodes[0] if nodes else ""


def nodes_of(injection: Injection) -> list[str]:
    """Nodes that the recipe names, or the one that the parameters ask for."""
    nodes = sorted(injection.recipe.get("faults", {}))
    asked = injection.parameters.get("node")
    return nodes or ([str(asked)] if asked else [])


def ways_back(injection: Injection) -> list[str]:
    """What the guards of each node undo, as the committed recipe says it."""
    faults = faults_of(injection.recipe)
    return [f"{fault.sentence} on {node}" for node, fault in sorted(faults.items())]


def parameters_in_words(key: str, parameters: dict[str, Any]) -> list[tuple[str, str]]:
    """`(label, value with unit)`, in the scenario's own order; unknown ones as they stand."""
    scenario = scenario_or_none(key)
    rows: list[tuple[str, str]] = []
    known = scenario.parameters if scenario else ()
    for parameter in known:
        if parameter.name not in parameters:
            continue
        value = parameters[parameter.name]
        label = dict(parameter.choices).get(str(value), str(value))
        unit = " s" if parameter.kind == "seconds" else ""
        rows.append((parameter.label, f"{label}{unit}"))
    names = {parameter.name for parameter in known}
    rows += [(name, str(value)) for name, value in parameters.items() if name not in names]
    return rows


def symptom_sentence(finding: Finding) -> str:
    """The predicate that a re-verification measures again, as one sentence."""
    symptom = finding.symptom
    if symptom.get("kind") == "pods":
        return _pods_sentence(symptom)
    if symptom.get("kind") == "terminations":
        return _terminations_sentence(symptom)
    if symptom.get("kind") == "alert":
        title, seconds = symptom.get("probe_title"), symptom.get("within_s")
        return f"“{title}” must fire within {seconds} s of the bite."
    if symptom.get("kind") == "stop":
        title, seconds = symptom.get("probe_title"), symptom.get("abort_after_s")
        return f"“{title}” must not fail for {seconds} s in a row while the fault is live."
    if symptom.get("kind") == "meanwhile":
        return _MEANWHILE[str(symptom.get("belief"))]
    bound = symptom.get("min_passed_share")
    measured = symptom.get("measured", {})
    title = str(symptom.get("probe_title") or symptom.get("probe") or "A probe")
    target = f" at {symptom['target']}" if symptom.get("target") else ""
    window = window_words(symptom.get("window", {}))
    if bound is None:
        return f"{title}{target}: {window}."
    passed, attempts = measured.get("passed"), measured.get("attempts")
    seen = f" {attempts - passed} of {attempts} failed." if attempts else ""
    return f"“{title}”{target} must pass at least {bound * 100:g}% {window}.{seen}"


_MEANWHILE = {
    "starts": "The pod that comes in place of one that ends in mid-fault is ready before it ends.",
    "waits-for-image": "The pod that comes in place of one that ends in mid-fault says that it "
    "cannot pull its image, and is ready by the end of the watch.",
}


def _pods_sentence(symptom: dict[str, Any]) -> str:
    measured = symptom.get("measured", {})
    lost, before = measured.get("lost", []), measured.get("before")
    seen = f" {len(lost)} of {before} were." if before else ""
    return (
        f"No pod may be lost, replaced or left not ready, {window_words(symptom['window'])}.{seen}"
    )


def _terminations_sentence(symptom: dict[str, Any]) -> str:
    measured = symptom.get("measured", {})
    gone, before = measured.get("terminated", []), measured.get("before")
    seen = f" {len(gone)} of {before} were." if before else ""
    share = symptom.get("max_terminated_share", 0.0)
    return f"Fewer than {share:.0%} of the pods may be terminated or evicted.{seen}"


def window_words(window: Mapping[str, Any]) -> str:
    """`window` as in a symptom: `from`, `grace_s`, `to`."""
    begin = _MARKS.get(str(window.get("from", "")), "the beginning")
    end = _MARKS.get(str(window.get("to", "")), "the end")
    grace = window.get("grace_s") or 0
    after = f"{grace} s after {begin}" if grace else f"the moment {begin}"
    return f"from {after} until {end}"
