"""Is the original state within reach? Looked at, never assumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from core.errors import ClusterUnreachable
from migrator.runners import objects
from migrator.runners.base import Hands, StepRefusedError
from migrator.runners.traffic import halves_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, kw_only=True)
class Line:
    """One thing that the way back needs. None: we could not look."""

    name: str
    passed: bool | None
    sentence: str

    def as_data(self) -> dict[str, Any]:
        return {"name": self.name, "passed": self.passed, "sentence": self.sentence}


def look(*, legacy_address: str, routes: Sequence[Mapping[str, Any]], hands: Hands) -> list[Line]:
    """The legacy half answers, and every route of a traffic step names both halves still.

    `routes` are the parameters of the plan's traffic steps.
    """
    lines = [_legacy(legacy_address, hands)] if legacy_address else []
    seen = set()
    for parameters in routes:
        key = (parameters["namespace"], parameters["route"])
        if key not in seen:
            seen.add(key)
            lines.append(_route(parameters, hands))
    return lines


def verdict(lines: Sequence[Line]) -> bool | None:
    """False where anything is not there, None where anything could not be looked at."""
    if any(line.passed is False for line in lines):
        return False
    return None if any(line.passed is None for line in lines) else True


def _legacy(address: str, hands: Hands) -> Line:
    url = address if "://" in address else f"http://{address}/"
    if urlsplit(url).scheme not in ("http", "https"):
        return Line(
            name="legacy",
            passed=None,
            sentence=f"legacy is at {address}, which is no HTTP address that could be asked.",
        )
    try:
        status = hands.asks.http(url)
    except OSError as error:
        return Line(name="legacy", passed=False, sentence=f"legacy did not answer ({error}).")
    if status >= 500:
        return Line(name="legacy", passed=False, sentence=f"legacy answered {status}.")
    return Line(name="legacy", passed=True, sentence=f"legacy answered {status}.")


def _route(parameters: Mapping[str, Any], hands: Hands) -> Line:
    where = f"{parameters['namespace']}/{parameters['route']}"
    try:
        found = objects.read(
            hands.api, "HTTPProxy", str(parameters["namespace"]), str(parameters["route"])
        )
    except (ClusterUnreachable, StepRefusedError) as error:
        return Line(
            name="route", passed=None, sentence=f"route {where} is unknown: {error.message}."
        )
    halves = halves_of(parameters)
    wanted = {halves.legacy, halves.kubernetes}
    routes = (found or {}).get("spec", {}).get("routes") or []
    there = any(
        wanted <= {str(each.get("name")) for each in route.get("services") or []}
        for route in routes
    )
    if not there:
        return Line(
            name="route",
            passed=False,
            sentence=f"route {where} does not name {halves.legacy} and {halves.kubernetes} any "
            "more.",
        )
    return Line(name="route", passed=True, sentence=f"route {where} names both halves.")
