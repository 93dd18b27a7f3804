"""Whether a change of a route reaches Envoy: a canary route's answer is changed, and asked for.

The route is the owner's: an HTTPProxy in Belay's namespace that answers by itself, with a text and
with no service behind it. Belay may change that text and nothing else. The text is the time of the
change, so the route itself remembers since when a change waits, whoever asks: a change that is made
while Envoy hears nothing stays the only one until it is in effect.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping

from core import kube, wire
from core.addresses import require_allowed
from core.errors import ClusterUnreachable
from core.fields import Field, is_host, require_base
from gamedays.choices import MustHold
from gamedays.drivers.canary import NAMESPACE
from gamedays.probes.base import Attempt, Kind, ProbeSpec, Surroundings, no_answer, shortened

CHANGE_EVERY_S = 3.0
"""How long a change that is in effect stays before the next one is made."""
NAME = "belay-canary"
_ROUTE = f"/apis/projectcontour.io/v1/namespaces/{NAMESPACE}/httpproxies/{NAME}"


def probe_route_change(spec: ProbeSpec, surroundings: Surroundings) -> Attempt:
    """Ask Envoy for the canary route; change it again once the last change is in effect. Failed is
    a change that waits for longer than `within_s`. An API that takes no change leaves it unknown:
    nothing was there to be told to Envoy."""
    deadline = time.monotonic() + spec.timeout_s
    url = str(spec.parameters["url"])
    try:
        answer = wire.request(
            "GET",
            url,
            timeout_s=spec.timeout_s,
            headers={"Host": str(spec.parameters["host"]), "User-Agent": "belay-probe"},
            check=require_allowed,
        )
    except (OSError, http.client.HTTPException, wire.AddressRefusedError) as error:
        return no_answer(error, "Envoy")
    if answer.status != 200 or (served := _stamp(answer.body)) is None:
        detail = f"Envoy answered {answer.status} without the time of a change"
        return Attempt(passed=None, detail=shortened(detail))
    left_s = max(0.2, deadline - time.monotonic())
    try:
        looked = _look(surroundings.credentials, served, spec, left_s)
    except ClusterUnreachable as error:
        looked = Attempt(passed=None, detail=shortened(f"no change can be made: {error.message}"))
    return Attempt(
        passed=looked.passed,
        latency_ms=answer.latency_ms,
        detail=looked.detail,
        seen=looked.seen,
    )


def judge(served: float, wanted: float, now: float, within_s: float) -> Attempt:
    """`served`, `wanted`: the times of the change that is in effect and of the one that was asked
    for last, in seconds since 1970."""
    if served >= wanted:
        return Attempt(passed=True, seen=f"the change of {_ago(now, served)} ago is in effect")
    waits = f"a change of {_ago(now, wanted)} ago is not in effect"
    if now - wanted <= within_s:
        return Attempt(passed=True, seen=f"{waits} yet")
    return Attempt(passed=False, detail=waits, seen=waits)


def _look(credentials: kube.Credentials, served: float, spec: ProbeSpec, left_s: float) -> Attempt:
    now = time.time()
    # Written by a clock that is a little ahead of this one, it is as young.
    if abs(now - served) < CHANGE_EVERY_S:
        return judge(served, served, now, 0.0)
    found = kube.fresh_request(credentials, "GET", _ROUTE, timeout_s=left_s)
    wanted = _wanted(found.json()) if found.status == 200 else None
    if wanted is None:
        return Attempt(
            passed=None,
            detail=f"no canary route can be read in namespace {NAMESPACE} (HTTP {found.status})",
        )
    looked = judge(served, wanted, now, float(str(spec.parameters["within_s"])))
    if served >= wanted:
        _change(credentials, now, left_s)
    return looked


def _change(credentials: kube.Credentials, now: float, left_s: float) -> None:
    """Ask for the next one; one that is refused is met again by the next look."""
    route = {
        "conditions": [{"prefix": "/"}],
        "directResponsePolicy": {"statusCode": 200, "body": f"{now:.3f}"},
    }
    kube.fresh_request(
        credentials,
        "PATCH",
        _ROUTE,
        body={"spec": {"routes": [route]}},
        content_type="application/merge-patch+json",
        timeout_s=left_s,
    )


def _wanted(route: Mapping[str, object]) -> float | None:
    spec = route.get("spec")
    routes = spec.get("routes") if isinstance(spec, dict) else None
    if not isinstance(routes, list) or not routes or not isinstance(routes[0], dict):
        return None
    policy = routes[0].get("directResponsePolicy")
    body = policy.get("body") if isinstance(policy, dict) else None
    return _stamp(body.encode()) if isinstance(body, str) else None


def _stamp(text: bytes) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _ago(now: float, then: float) -> str:
    seconds = max(0.0, now - then)
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _in_words(parameters: Mapping[str, object]) -> str:
    return f"a changed route reaches Envoy within {parameters.get('within_s')} s"


def _require_host(text: str) -> None:
    if not is_host(text):
        raise ValueError(f"{text!r} is no host name.")


ROUTE_CHANGE = Kind(
    prober=probe_route_change,
    summary="Changes a canary route of the cluster's owner, and asks Envoy for it. Needs the route "
    "`belay-canary` in Belay's namespace (SECURITY.md).",
    in_words=_in_words,
    icon="route",
    users_may_feel=False,
    asks_api=True,
    must_hold=MustHold.AFTERWARDS,
    steady_where_judged=True,
    fields=(
        Field(
            name="url",
            label="Envoy's address",
            kind="url",
            check=require_base,
            placeholder="http://10.0.0.11",
        ),
        Field(
            name="host",
            label="Host of the canary route",
            check=_require_host,
            longest=253,
            placeholder="canary.qa.local",
        ),
        Field(
            name="within_s",
            label="A change is in effect within",
            kind="integer",
            default="10",
            minimum=1,
            maximum=120,
            unit="seconds",
        ),
    ),
)
