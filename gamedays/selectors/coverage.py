"""Which scenario ran when on which cluster, and what it showed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core import selectors as core_selectors
from core.choices import Stage
from gamedays.choices import InjectionState
from gamedays.models import Injection
from gamedays.scenarios.registry import all_scenarios

if TYPE_CHECKING:
    from core.models import Cluster, User
    from gamedays.scenarios.base import Scenario


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario, with its newest finished run on each cluster in `Coverage.clusters`."""

    scenario: Scenario
    cells: list[Injection | None]


@dataclass(frozen=True, slots=True)
class Coverage:
    clusters: list[Cluster]
    rows: list[Row]


def coverage(user: User) -> Coverage:
    """The matrix of scenarios and QA clusters. Two queries."""
    clusters = list(core_selectors.clusters(user).filter(stage=Stage.QA))
    newest = (
        Injection.objects.filter(cluster__in=[c.pk for c in clusters], ended_at__isnull=False)
        .exclude(state=InjectionState.REFUSED)
        .order_by("cluster_id", "scenario_key", "-ended_at")
        .distinct("cluster_id", "scenario_key")
    )
    found = {(run.cluster_id, run.scenario_key): run for run in newest}
    rows = [
        Row(scenario, [found.get((cluster.pk, scenario.key)) for cluster in clusters])
        for scenario in all_scenarios()
    ]
    return Coverage(clusters, rows)


def runs_of(user: User, scenario_key: str, limit: int = 12) -> list[Injection]:
    """The newest runs of one scenario that the person may see."""
    runs = Injection.objects.visible_to(user).filter(scenario_key=scenario_key)
    return list(runs.select_related("cluster").order_by("-asked_at")[:limit])
