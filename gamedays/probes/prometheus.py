"""A Prometheus query whose value has a bound."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from core.fields import Field
from gamedays.probes import comparisons
from gamedays.probes.base import Attempt, Kind, ProbeSpec, Surroundings, shortened
from gamedays.probes.metrics import NoMetricsError, ask


def probe_prometheus(spec: ProbeSpec, surroundings: Surroundings) -> Attempt:
    """Evaluate `query` now. Every series of the answer has to hold the bound; no series, or one
    that is not a number, is unknown: nobody measured it."""
    parameters = spec.parameters
    try:
        answer = ask(
            surroundings.metrics,
            "/api/v1/query",
            # Prometheus gives up a moment before we do, and then can still say so.
            {"query": str(parameters["query"]), "timeout": f"{spec.timeout_s * 900:.0f}ms"},
            timeout_s=spec.timeout_s,
        )
        series = _series(answer.data)
    except NoMetricsError as error:
        return Attempt(passed=None, detail=shortened(str(error)))
    looked = judge(series, str(parameters["comparison"]), float(str(parameters["value"])))
    return Attempt(
        passed=looked.passed,
        latency_ms=answer.latency_ms,
        detail=looked.detail,
        seen=looked.seen,
    )


def judge(series: list[tuple[str, float]], comparison: str, bound: float) -> Attempt:
    """`series`: (labels, value). Says which of them breaks the bound."""
    if not series:
        return Attempt(passed=None, detail="the query found no data", seen="No data")
    unmeasured = [labels for labels, value in series if math.isnan(value)]
    if unmeasured:
        return Attempt(
            passed=None, detail=shortened(f"not a number: {unmeasured[0]}"), seen="Not a number"
        )
    against = comparisons.NUMERIC[comparison]
    broken = [(labels, value) for labels, value in series if not against.holds(value, bound)]
    shown = broken or series
    values = ", ".join(f"{value:g} {labels}".strip() for labels, value in shown[:3])
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    detail = f"{values}{more}, wanted {against.words} {bound:g}" if broken else ""
    return Attempt(passed=not broken, detail=shortened(detail), seen=shortened(f"{values}{more}"))


def _series(data: Mapping[str, Any]) -> list[tuple[str, float]]:
    kind, result = data.get("resultType"), data.get("result")
    try:
        if kind == "scalar" and result is not None:
            return [("", float(result[1]))]
        if kind == "vector" and result is not None:
            return [(_labels(row["metric"]), float(row["value"][1])) for row in result]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise NoMetricsError("the query's answer holds no plain numbers") from error
    raise NoMetricsError(f"the query gives a {kind}, not one number per series")


def _labels(metric: Mapping[str, str]) -> str:
    named = [f'{key}="{value}"' for key, value in sorted(metric.items()) if key != "__name__"]
    return "{" + ", ".join(named) + "}" if named else ""


def _in_words(parameters: Mapping[str, object]) -> str:
    comparison = comparisons.NUMERIC[str(parameters.get("comparison"))]
    bound = comparisons.as_number(str(parameters.get("value")))
    return f"{parameters.get('query')} is {comparison.words} {bound:g}"


PROMETHEUS = Kind(
    prober=probe_prometheus,
    summary="Asks Prometheus each second; every series has to hold the bound. No data is unknown.",
    in_words=_in_words,
    icon="activity",
    fields=(
        Field(
            name="query",
            label="Query (PromQL)",
            longest=1000,
            placeholder='sum(rate(http_requests_total{code=~"5.."}[1m]))',
        ),
        Field(
            name="comparison",
            label="Passes when each value",
            kind="choice",
            default="at_most",
            choices=comparisons.NUMERIC_CHOICES,
        ),
        Field(name="value", label="Bound", kind="number"),
    ),
)
