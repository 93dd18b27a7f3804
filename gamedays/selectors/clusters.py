"""Clusters as their pages show them: nodes, guards, probes."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils import timezone

from core import selectors as core_selectors
from core.models import Cluster, ClusterSetup, Node
from gamedays.models import BreakGlassBundle, Guard, Injection, Probe

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from core.models import User

_SEEN_WITHIN = dt.timedelta(seconds=60)
_BUNDLE_OLD = dt.timedelta(days=90)


@dataclass(frozen=True, slots=True)
class GuardedNode:
    """One node and its guard. `state` is a key of the marks."""

    node: Node
    guard: Guard | None
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterCard:
    cluster: Cluster
    nodes: list[GuardedNode]
    probes: list[Probe]
    setup: ClusterSetup | None

    @property
    def guarded(self) -> int:
        return sum(1 for row in self.nodes if row.guard is not None)


def cluster_cards(user: User) -> list[ClusterCard]:
    """Every visible cluster with what stands on it, in a constant number of queries."""
    clusters = (
        core_selectors.clusters(user)
        .select_related("clustersetup", "team")
        .prefetch_related("nodes__guard", "probes")
    )
    return [_card(cluster) for cluster in clusters]


def cluster_card(user: User, slug: str) -> ClusterCard:
    """One cluster. Raises `NotFound`, to outsiders too."""
    return _card(core_selectors.cluster_named(user, slug))


@dataclass(frozen=True, slots=True)
class BundleView:
    """The newest break-glass bundle, and what is wrong with it now."""

    bundle: BreakGlassBundle
    problems: list[str]


def guards_now(guards: Iterable[Guard]) -> dict[str, list[object]]:
    """What a bundle has to agree with: where each guard is, and which certificate it shows."""
    return {
        guard.node.name: [
            guard.address,
            guard.port,
            hashlib.sha256(guard.certificate_pem.encode()).hexdigest(),
        ]
        for guard in guards
    }


def newest_bundle(cluster: Cluster) -> BundleView | None:
    """None where none was made: then nothing could be undone with Belay and its database gone."""
    bundles = BreakGlassBundle.objects.filter(cluster=cluster)
    found = bundles.select_related("made_by", "drilled_by").first()
    if found is None:
        return None
    guards = Guard.objects.select_related("node").filter(node__cluster=cluster)
    now = guards_now(guards)
    problems = [
        f"The guard on {node} is not the one in the bundle: make a new one."
        if node in found.guards
        else f"It does not know the guard on {node}: make a new one."
        for node, facts in sorted(now.items())
        if found.guards.get(node) != facts
    ]
    if timezone.now() - found.made_at > _BUNDLE_OLD:
        problems.append(f"It is older than {_BUNDLE_OLD.days} days.")
    if found.drilled_at is None:
        problems.append("It was never drilled: nobody knows whether it works.")
    elif not found.drill_passed:
        problems.append("Its last drill did not pass.")
    elif timezone.now() - found.drilled_at > _BUNDLE_OLD:
        problems.append(f"Its last drill is more than {_BUNDLE_OLD.days} days ago.")
    return BundleView(found, problems)


def newest_runs(cluster: Cluster) -> QuerySet[Injection]:
    runs = cluster.injections.select_related("agenda_item__gameday")
    return runs.order_by("-asked_at", "-pk")


def _card(cluster: Cluster) -> ClusterCard:
    now = timezone.now()
    return ClusterCard(
        cluster=cluster,
        nodes=[_guarded(node, now) for node in cluster.nodes.all()],
        probes=list(cluster.probes.all()),
        setup=getattr(cluster, "clustersetup", None),
    )


def _guarded(node: Node, now: dt.datetime) -> GuardedNode:
    guard = getattr(node, "guard", None)
    if guard is None:
        return GuardedNode(node, None, "no_guard")
    if guard.last_seen_at is None:
        return GuardedNode(node, guard, "silent")
    lately = now - guard.last_seen_at < _SEEN_WITHIN
    return GuardedNode(node, guard, "reachable" if lately else "installed")
