"""Probes of the Kubernetes API: readiness, a read from etcd, a write that is read back."""

from __future__ import annotations

import itertools
import time

from core import kube
from core.errors import ClusterUnreachable
from gamedays.drivers.canary import CanaryMismatchError, write_and_read_canary
from gamedays.probes.base import Attempt, Kind, ProbeSpec, Surroundings

_READ_PATH = "/api/v1/namespaces/kube-system"
"""A single object without `resourceVersion`: the API server asks etcd for the newest, so this
fails where the server's etcd is gone, as any client's read would."""
_WRITERS = 8
_turn = itertools.count()


def probe_readyz(spec: ProbeSpec, surroundings: Surroundings) -> Attempt:
    """`/readyz` of one node's API server, or through the common address without a target."""
    return _get(spec, surroundings, "/readyz")


def probe_read(spec: ProbeSpec, surroundings: Surroundings) -> Attempt:
    return _get(spec, surroundings, _READ_PATH)


def probe_canary_write(spec: ProbeSpec, surroundings: Surroundings) -> Attempt:
    """Write a value and read it back, on fresh connections."""
    server = _server(spec, surroundings)
    # Samples overlap when the API is slow: those in flight at once write different objects.
    writer = f"probe-{next(_turn) % _WRITERS}"
    started = time.monotonic()
    try:
        write_and_read_canary(
            surroundings.credentials, writer=writer, server=server, timeout_s=spec.timeout_s
        )
    except (ClusterUnreachable, CanaryMismatchError) as error:
        return Attempt(passed=False, detail=str(error)[:120])
    return Attempt(passed=True, latency_ms=(time.monotonic() - started) * 1000)


def _get(spec: ProbeSpec, surroundings: Surroundings, path: str) -> Attempt:
    try:
        answer = kube.fresh_request(
            surroundings.credentials,
            "GET",
            path,
            server=_server(spec, surroundings),
            timeout_s=spec.timeout_s,
        )
    except ClusterUnreachable as error:
        return Attempt(passed=False, detail=error.message[:120])
    passed = answer.status == 200
    return Attempt(
        passed=passed,
        latency_ms=answer.latency_ms,
        detail="" if passed else f"status {answer.status}",
    )


def _server(spec: ProbeSpec, surroundings: Surroundings) -> str | None:
    return surroundings.api_servers[spec.target] if spec.target else None


API_READYZ = Kind(
    prober=probe_readyz,
    summary="An API server says of itself that it is ready.",
    in_words=lambda _parameters: "/readyz answers 200",
    icon="server-2",
    users_may_feel=False,
    asks_api=True,
    by_hand=False,
)
API_READ = Kind(
    prober=probe_read,
    summary="Reads one object, which the API server has to fetch from etcd.",
    in_words=lambda _parameters: "one object is read from etcd",
    icon="server-2",
    users_may_feel=False,
    asks_api=True,
    by_hand=False,
)
CANARY_WRITE = Kind(
    prober=probe_canary_write,
    summary="Writes a value through the API and reads it back.",
    in_words=lambda _parameters: "a value is written and read back",
    icon="server-2",
    users_may_feel=False,
    asks_api=True,
    by_hand=False,
)
