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
class Cell:
    """The newest finished run, and why there can be none (empty: there can)."""

    run: Injection | None
    why_not: str


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario, with a cell for each cluster in `Coverage.clusters`."""

    scenario: Scenario
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class Coverage:
    clusters: list[Cluster]
    rows: list[Row]


def coverage(user: User) -> Coverage:
    """The matrix of scenarios and QA clusters. Three queries."""
    qa = core_selectors.clusters(user).filter(stage=Stage.QA)
    clusters = list(qa.prefetch_related("nodes"))
    planes = {
        cluster.pk: [node.name for node in cluster.nodes.all() if node.control_plane]
        for cluster in clusters
    }
    newest = (
        Injection.objects.filter(cluster__in=[c.pk for c in clusters], ended_at__isnull=False)
        .exclude(state=InjectionState.REFUSED)
        .order_by("cluster_id", "scenario_key", "-ended_at")
        .distinct("cluster_id", "scenario_key")
    )
    found = {(run.cluster_id, run.scenario_key): run for run in newest}
    rows = [
        Row(
            scenario,
            [
                Cell(
                    found.get((cluster.pk, scenario.key)),
                    scenario.why_not_here(planes[cluster.pk]),
                )
                for cluster in clusters
            ],
        )
        for scenario in all_scenarios()
    ]
    return Coverage(clusters, rows)


def runs_of(user: User, scenario_key: str, limit: int = 12) -> list[Injection]:
    """The newest runs of one scenario that the person may see."""
    runs = Injection.objects.visible_to(user).filter(scenario_key=scenario_key)
    return list(runs.select_related("cluster").order_by("-asked_at")[:limit])
