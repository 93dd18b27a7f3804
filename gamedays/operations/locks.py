"""The one order in which rows are locked: cluster, gameday to begin; lease, injection, gameday to
go on. Whoever locks the other way round waits for ever for somebody who waits for them.

Retiring a cluster locks its row and then everything below it. Whoever begins something on a
cluster therefore locks that row before the gameday, so that the two never meet half-way.
"""

from __future__ import annotations

from core.models import Cluster
from gamedays.models import Gameday


def lock_gameday(key: int, *, skip_locked: bool = False) -> Gameday | None:
    """The gameday's row with its cluster's, both locked until the caller's transaction ends.

    None where there is none; with `skip_locked` also where somebody else has one of them.
    """
    # The cluster of a gameday never changes, so that it may be read before it is locked.
    cluster_id = Gameday.objects.filter(pk=key).values_list("cluster_id", flat=True).first()
    clusters = Cluster.objects.select_for_update(skip_locked=skip_locked, no_key=True)
    if cluster_id is None or clusters.filter(pk=cluster_id).first() is None:
        return None
    gamedays = Gameday.objects.select_for_update(skip_locked=skip_locked)
    return gamedays.filter(pk=key).first()
