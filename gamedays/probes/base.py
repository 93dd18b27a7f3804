"""What a probe answers. A probe opens a fresh connection every time, as a new client would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gamedays.choices import MustHold

if TYPE_CHECKING:
    from core.kube import Credentials
    from gamedays.drivers.fleet import NodeStatus


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One look. `passed` None means that we could not look: unknown, never good."""

    passed: bool | None
    latency_ms: float | None = None
    detail: str = ""
    """Why it did not pass; short, because it is kept with the sample."""
    seen: str = ""
    """What was seen, passed or not: for the person who tries the probe, not kept."""


@dataclass(frozen=True, kw_only=True)
class ProbeSpec:
    """A probe row as plain data, so that probing needs no database."""

    id: int
    key: str
    title: str
    kind: str
    target: str
    parameters: Mapping[str, object]
    attempts: int
    timeout_s: float
    """Seconds for one attempt, all of it: resolving, connecting, TLS and the whole answer."""
    felt_by_users: bool
    must_hold: str = MustHold.SCENARIO
    abort_after_s: int | None = None
    """Consecutive failing seconds after which a live fault is aborted; None: never for this."""


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """The Prometheus of a cluster; `token` empty: none is sent."""

    url: str
    ca_pem: str = ""
    token: str = ""

    def __repr__(self) -> str:
        return f"Metrics(url={self.url!r}, token=…)"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What probes may use: the cluster's credentials and the guards' latest words."""

    credentials: Credentials
    api_servers: Mapping[str, str]
    """Node name → address of that node's own API server."""
    node_status: Callable[[str], NodeStatus | None]
    """The guard's report of the last two seconds, or None when it did not answer."""
    metrics: Metrics | None = None
    """The cluster's Prometheus; None where nobody named one."""


Prober = Callable[[ProbeSpec, Surroundings], Attempt]
