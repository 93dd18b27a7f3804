"""The live strip: one line per cluster, on every page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import OuterRef, Subquery
from django.utils import timezone

from core import selectors as core_selectors
from core.choices import SetupPhase
from gamedays.choices import InjectionState
from gamedays.models import Injection
from gamedays.selectors.words import hold_s, scenario_title, where

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from core.models import Cluster, ClusterSetup, User

_LOUD = frozenset({InjectionState.INJECTING, InjectionState.ACTIVE, InjectionState.UNDO_STUCK})


@dataclass(frozen=True, slots=True, kw_only=True)
class StripLine:
    """What one cluster's line says. `live` is its fault now, `last` the newest that ended."""

    name: str
    slug: str = ""
    live: Injection | None = None
    last: Injection | None = None
    setup: ClusterSetup | None = None
    now: dt.datetime

    @property
    def state(self) -> str:
        if self.live is not None:
            return self.live.state
        return self.setup.phase if self.setup is not None else "no_fault"

    @property
    def setup_word(self) -> str:
        """A cluster that is being raised is not "running" in any sense that people mean."""
        phase = self.setup.phase if self.setup else ""
        return "Being raised" if phase in (SetupPhase.WAITING, SetupPhase.RUNNING) else ""

    @property
    def loud(self) -> bool:
        """Something is broken on purpose now: the line is red."""
        return self.live is not None and self.live.state in _LOUD

    @property
    def title(self) -> str:
        return scenario_title(self.live.scenario_key) if self.live else ""

    @property
    def where(self) -> str:
        return where(self.live) if self.live else ""

    @property
    def elapsed_s(self) -> float | None:
        """Seconds since the fault was seen to bite; None before that and after its undo."""
        if self.live is None or self.live.bitten_at is None or self.live.undone_at is not None:
            return None
        return (self.now - self.live.bitten_at).total_seconds()

    @property
    def hold_s(self) -> int | None:
        """What the clock counts towards; None once the undo is asked for, which ends the hold."""
        if self.live is None or self.live.undo_asked_at is not None:
            return None
        return hold_s(self.live)

    @property
    def abort_asked(self) -> bool:
        return self.live is not None and self.live.abort_requested_at is not None


def strip_lines(user: User) -> list[StripLine]:
    """Every cluster that the person may see, and what is being raised. Four queries, always."""
    ended = Injection.objects.filter(
        cluster=OuterRef("pk"), bitten_at__isnull=False, ended_at__isnull=False
    )
    # One look into the index for each cluster. DISTINCT ON would sort all that ever ran: with
    # 100,000 runs two seconds, for every page.
    newest = Subquery(ended.order_by("-ended_at").values("pk")[:1])
    clusters = list(core_selectors.clusters(user).annotate(newest_run=newest))
    visible = [cluster.pk for cluster in clusters]
    live = {
        run.cluster_id: run
        for run in Injection.objects.filter(cluster__in=visible)
        .live()
        .select_related("abort_requested_by")
    }
    last = {
        run.cluster_id: run
        for run in Injection.objects.filter(pk__in=[c.newest_run for c in clusters])
    }
    setups = core_selectors.setups_in_progress(user)
    told = _told_by_cluster(clusters, setups)
    now = timezone.now()

    def line(cluster: Cluster) -> StripLine:
        return StripLine(
            name=cluster.name,
            slug=cluster.slug,
            live=live.get(cluster.pk),
            last=last.get(cluster.pk),
            setup=told.get(cluster.pk),
            now=now,
        )

    alone = [setup for setup in setups if setup not in told.values()]
    raising = [StripLine(name=setup.name, setup=setup, now=now) for setup in alone]
    return [line(cluster) for cluster in clusters] + raising


def _told_by_cluster(
    clusters: Sequence[Cluster], setups: list[ClusterSetup]
) -> dict[int, ClusterSetup]:
    """Cluster id → the raising that its own line tells of. By name, too: a cluster is registered
    before its guards are on its nodes, and its raising points to it from the end on only."""
    by_id = {cluster.pk: cluster for cluster in clusters}
    by_name = {cluster.name: cluster for cluster in clusters}
    pairs = [(by_id.get(s.cluster_id or 0) or by_name.get(s.name), s) for s in setups]
    return {cluster.pk: setup for cluster, setup in pairs if cluster is not None}
