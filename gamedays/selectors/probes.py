"""A cluster's probes as its pages show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core import selectors as core_selectors
from core.errors import NotFound
from gamedays.choices import MustHold, ProbeKind
from gamedays.models import MetricsSource, Probe
from gamedays.probes.registry import KINDS

if TYPE_CHECKING:
    from core.models import Cluster, User
    from gamedays.probes.base import Kind

ASK_METRICS = (ProbeKind.PROMETHEUS, ProbeKind.ALERT_EXPECTED)


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """One probe, and in words what it looks at and what comes of it."""

    probe: Probe
    kind: Kind
    words: str
    judged: str
    """When its own bound has to hold; empty: where a scenario says something about its kind."""


@dataclass(frozen=True, slots=True)
class ProbeList:
    """Those that people made, and those that come with the cluster."""

    own: list[ProbeRow]
    standard: list[ProbeRow]


def probe_list(probes: Iterable[Probe]) -> ProbeList:
    rows = [_row(probe) for probe in probes]
    return ProbeList(
        own=[row for row in rows if row.kind.by_hand],
        standard=[row for row in rows if not row.kind.by_hand],
    )


def probe_named(user: User, slug: str, key: str) -> Probe:
    """Raises `NotFound`, to outsiders too."""
    cluster = core_selectors.cluster_named(user, slug)
    found = Probe.objects.filter(cluster=cluster, key=key).select_related("cluster__team").first()
    if found is None:
        raise NotFound(f"{cluster.name} has no probe {key!r}.")
    return found


def metrics_source(cluster: Cluster) -> MetricsSource | None:
    return MetricsSource.objects.filter(cluster=cluster).select_related("updated_by").first()


def lacks_metrics(cluster: Cluster, probes: Iterable[Probe]) -> bool:
    """Whether probes that are on ask a Prometheus that nobody named."""
    asking = any(probe.enabled and probe.kind in ASK_METRICS for probe in probes)
    return asking and not MetricsSource.objects.filter(cluster=cluster).exists()


def _row(probe: Probe) -> ProbeRow:
    kind = KINDS[probe.kind]
    return ProbeRow(probe, kind, kind.in_words(probe.parameters), _judged(probe))


def _judged(probe: Probe) -> str:
    if probe.kind == ProbeKind.ALERT_EXPECTED:
        return "judged from the bite on"
    if probe.must_hold == MustHold.SCENARIO:
        return ""
    return f"has to hold {MustHold(probe.must_hold).label.lower()}"
