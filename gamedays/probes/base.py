"""What a probe answers. A probe opens a fresh connection every time, as a new client would."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core import wire
from core.fields import Field, Value
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
    problem: str = ""
    """Why it cannot be asked at all, such as a token that no key opens."""

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


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of probe: how it looks, what it has to be told, and how pages speak of it."""

    prober: Prober
    summary: str
    """What it looks at, and when it passes: a sentence for the person who chooses."""
    in_words: Callable[[Mapping[str, object]], str]
    """One probe of this kind in a few words, for lists."""
    fields: tuple[Field, ...] = ()
    icon: str = "activity"
    by_hand: bool = True
    """False: it comes with the cluster, and nobody makes one."""
    users_may_feel: bool = True
    """Whether a probe of this kind can stand for what a user feels. Those that do are judged where
    a scenario speaks of users' requests."""
    asks_api: bool = False
    """Whether it needs the cluster's credential."""
    must_hold: str = MustHold.THROUGHOUT
    """What a new probe of this kind is judged by, unless its maker chooses otherwise."""
    steady: bool = True
    """Whether it has to pass before a fault begins. An alert does not: it is expected later."""
    steady_where_judged: bool = False
    """Whether that is asked only where the scenario, or the people of the cluster, judge it: what
    is slow to come back after one fault need not keep others waiting."""
    check: Callable[[dict[str, Value]], dict[str, str]] | None = None
    """What several fields together get wrong: field name → sentence."""


def shortened(text: str, longest: int = 120) -> str:
    """As much of a text as is kept with a sample."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def no_answer(error: Exception, where: str) -> Attempt:
    """A request that brought no answer: unknown where this machine is the reason, else failed."""
    reason = shortened(f"{where}: {wire.reason_of(error)}")
    if wire.is_our_failure(error):
        return Attempt(passed=None, detail=reason)
    return Attempt(passed=False, detail=reason)
