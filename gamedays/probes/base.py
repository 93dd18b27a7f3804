"""What a probe answers. A probe opens a fresh connection every time, as a new client would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.kube import Credentials
    from gamedays.drivers.fleet import NodeStatus


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One look. `passed` None means that we could not look: unknown, never good."""

    passed: bool | None
    latency_ms: float | None = None
    detail: str = ""


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
    felt_by_users: bool


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What probes may use: the cluster's credentials and the guards' latest words."""

    credentials: Credentials
    api_servers: Mapping[str, str]
    """Node name → address of that node's own API server."""
    node_status: Callable[[str], NodeStatus | None]
    """The guard's report of the last two seconds, or None when it did not answer."""


Prober = Callable[[ProbeSpec, Surroundings], Attempt]
