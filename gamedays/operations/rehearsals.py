"""What was rehearsed, and whether it still counts. Called by the journal, under its fence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone

from core.redaction import redact_text
from gamedays.models import Gameday, Injection, UndoRehearsal

if TYPE_CHECKING:
    import uuid

    from gamedays.execution.rehearsal import Rehearsed


def store_rehearsals(injection_id: uuid.UUID, results: Iterable[Rehearsed]) -> None:
    cluster_id = Injection.objects.values_list("cluster_id", flat=True).get(pk=injection_id)
    UndoRehearsal.objects.bulk_create(
        UndoRehearsal(
            cluster_id=cluster_id,
            injection_id=injection_id,
            node=each.node,
            at=each.at,
            succeeded=each.succeeded,
            detail=redact_text(each.detail),
        )
        for each in results
    )


def unrehearsed_nodes(injection_id: uuid.UUID, nodes: Iterable[str]) -> list[str]:
    """Nodes whose newest rehearsal failed, was not in this gameday, or is older than
    `BELAY_REHEARSAL_HOURS`: before a gameday's first fault on a node that is every one."""
    gameday = Gameday.objects.get(agenda__injections=injection_id)
    newest = (
        UndoRehearsal.objects.filter(cluster=gameday.cluster_id)
        .order_by("node", "-at", "-id")
        .distinct("node")
        .select_related("injection__agenda_item")
    )
    since = timezone.now() - dt.timedelta(hours=settings.BELAY_REHEARSAL_HOURS)
    good = {
        rehearsal.node
        for rehearsal in newest
        if rehearsal.succeeded
        and rehearsal.at >= since
        and rehearsal.injection.agenda_item.gameday_id == gameday.pk
    }
    return sorted(set(nodes) - good)
