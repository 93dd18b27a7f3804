"""A fresh TCP connection: whether anybody takes it at all."""

from __future__ import annotations

import time
from collections.abc import Mapping

from core import wire
from core.addresses import require_allowed
from core.fields import Field
from gamedays.probes.base import Attempt, Kind, ProbeSpec, Surroundings, no_answer


def probe_tcp(spec: ProbeSpec, surroundings: Surroundings) -> Attempt:
    """Connect to `host`:`port` and close; nothing is sent, nothing read."""
    host, port = str(spec.parameters["host"]), int(str(spec.parameters["port"]))
    started = time.monotonic()
    try:
        connection = wire.connect(
            host, port, deadline=wire.Deadline(spec.timeout_s), check=require_allowed
        )
    except (OSError, wire.AddressRefusedError) as error:
        return no_answer(error, _where(host, port))
    latency_ms = (time.monotonic() - started) * 1000
    peer = str(connection.getpeername()[0])
    connection.close()
    return Attempt(passed=True, latency_ms=latency_ms, seen=f"{peer} took the connection")


def _where(host: object, port: object) -> str:
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def _in_words(parameters: Mapping[str, object]) -> str:
    return f"{_where(parameters.get('host'), parameters.get('port'))} takes connections"


TCP = Kind(
    prober=probe_tcp,
    summary="Opens a TCP connection; passes when it is taken.",
    in_words=_in_words,
    icon="target-arrow",
    fields=(
        Field(name="host", label="Host", kind="host", placeholder="db.example"),
        Field(name="port", label="Port", kind="integer", minimum=1, maximum=65535),
    ),
)
