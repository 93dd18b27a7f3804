"""One of Envoy's own figures, from its admin or stats listener: by default whether it is connected
to its control plane."""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from urllib.parse import urlencode

from core import wire
from core.addresses import require_allowed
from core.fields import Field, require_base
from gamedays.choices import MustHold
from gamedays.probes import comparisons
from gamedays.probes.base import Attempt, Kind, ProbeSpec, Surroundings, shortened

CONNECTED = "control_plane.connected_state"
"""1 while Envoy has a connection to its xDS server, 0 while it has none. With one stream for all it
stands alone; with a stream per kind of resource, as Contour configures it, each has its own:
`cluster_manager.cds.control_plane.connected_state` and so on."""


def probe_envoy_stat(spec: ProbeSpec, surroundings: Surroundings) -> Attempt:
    """GET /stats with a filter for `stat`, alone or at the end of a longer name; every figure
    found has to hold. An Envoy that does not answer on this listener may well serve its users:
    that is unknown, not failed."""
    parameters = spec.parameters
    stat = str(parameters["stat"])
    query = urlencode({"filter": rf"(^|\.){re.escape(stat)}$"})
    try:
        answer = wire.request(
            "GET",
            f"{str(parameters['url']).rstrip('/')}/stats?{query}",
            timeout_s=spec.timeout_s,
            headers={"User-Agent": "belay-probe"},
            check=require_allowed,
        )
    except (OSError, http.client.HTTPException, wire.AddressRefusedError) as error:
        return Attempt(passed=None, detail=shortened(f"Envoy: {wire.reason_of(error)}"))
    if answer.status != 200 or answer.truncated:
        why = "with too much" if answer.truncated else str(answer.status)
        return Attempt(passed=None, detail=f"Envoy answered {why}")
    found = _figures(answer.body.decode("utf-8", "replace"), stat)
    if not found:
        return Attempt(passed=None, detail=shortened(f"Envoy has no figure {stat}"))
    looked = judge(found, str(parameters["comparison"]), float(str(parameters["value"])))
    return Attempt(
        passed=looked.passed,
        latency_ms=answer.latency_ms,
        detail=looked.detail,
        seen=looked.seen,
    )


def judge(found: dict[str, float], comparison: str, bound: float) -> Attempt:
    """`found`: name → value. Says which figure breaks the bound."""
    against = comparisons.NUMERIC[comparison]
    broken = {name: value for name, value in found.items() if not against.holds(value, bound)}
    worst, value = next(iter((broken or found).items()))
    others = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
    detail = f"{value:g}{others}, wanted {against.words} {bound:g}: {worst}" if broken else ""
    held = f", {len(found) - len(broken)} of {len(found)} hold" if len(found) > 1 else ""
    return Attempt(
        passed=not broken,
        detail=shortened(detail),
        seen=shortened(f"{worst} is {value:g}{held}"),
    )


def _figures(text: str, stat: str) -> dict[str, float]:
    found = {}
    for line in text.splitlines():
        # Names may hold colons themselves; the value stands after the last one.
        name, _colon, value = line.rpartition(":")
        number = comparisons.as_number(value.strip())
        if number is not None and (name == stat or name.endswith(f".{stat}")):
            found[name] = number
    return found


def _in_words(parameters: Mapping[str, object]) -> str:
    comparison = comparisons.NUMERIC[str(parameters.get("comparison"))]
    bound = comparisons.as_number(str(parameters.get("value")))
    return f"{parameters.get('stat')} at {parameters.get('url')} is {comparison.words} {bound:g}"


def _require_stat(text: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_.:;|/-]+", text):
        raise ValueError(f"{text!r} is no name of a figure, like {CONNECTED}.")


ENVOY_STAT = Kind(
    prober=probe_envoy_stat,
    summary="Reads one of Envoy's own figures: is it connected to its control plane?",
    in_words=_in_words,
    icon="route",
    users_may_feel=False,
    steady_where_judged=True,
    must_hold=MustHold.AFTERWARDS,
    fields=(
        Field(
            name="url",
            label="Admin or stats address",
            kind="url",
            check=require_base,
            placeholder="http://10.0.0.11:8002",
            help="Where Envoy serves /stats: its admin listener, or Contour's stats listener.",
        ),
        Field(name="stat", label="Figure", default=CONNECTED, longest=200, check=_require_stat),
        Field(
            name="comparison",
            label="Passes when it",
            kind="choice",
            default="at_least",
            choices=comparisons.NUMERIC_CHOICES,
        ),
        Field(name="value", label="Bound", kind="number", default="1"),
    ),
)
