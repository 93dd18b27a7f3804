"""The end of a cluster: what may still be live on it has to be answered for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from core import kube, policies
from core.errors import ClusterRefused, ClusterUnreachable, Conflict
from core.models import Cluster
from core.operations.clusters import look_at_cluster
from gamedays.choices import BEFORE_ARMING, GAMEDAY_OPEN, EntryKind, GamedayState, InjectionState
from gamedays.models import Gameday, Injection, Lease, TimelineEntry
from gamedays.operations.by_hand import end_gone
from gamedays.operations.ending import end_injection, end_unproved
from gamedays.operations.guards import look_at_guards

if TYPE_CHECKING:
    from core.models import User


def retire_cluster(*, actor: User, cluster: Cluster, reason: str) -> Cluster:
    """Take a cluster that exists no more out of use; its name is free again, its history stays.

    A cluster that still answers under its own UID, or one of whose guards does, is not gone, and
    is refused while anything is live on it: an API that is away may be our own fault's doing.

    Raises:
        NotAllowed: the actor is no platform owner.
        Conflict: `cluster_alive`: it answers, and a fault is live on it.
    """
    policies.require_owner(actor, "retire clusters")
    alive = _answers(cluster) or any(view.hello for view in look_at_guards(cluster=cluster))
    with transaction.atomic():
        cluster = Cluster.objects.select_for_update().get(pk=cluster.pk)
        if cluster.retired_at is not None:
            return cluster
        # Leases before injections, as whoever conducts locks them: the other way round deadlocks.
        lives = Injection.objects.live().filter(cluster=cluster)
        list(Lease.objects.select_for_update().filter(injection__in=lives).order_by("pk"))
        live = list(lives.select_for_update().order_by("pk"))
        if live and alive:
            raise Conflict(
                f"{cluster.name} still answers, and a fault is live on it. Abort it and wait "
                "until it is clean.",
                code="cluster_alive",
            )
        for injection in live:
            _answer_for(injection, actor, reason)
        now = timezone.now()
        for gameday in Gameday.objects.filter(cluster=cluster, state__in=GAMEDAY_OPEN):
            end_unproved(gameday, f"{actor} retired the cluster.")
        Gameday.objects.filter(cluster=cluster, state=GamedayState.BOOKED).update(
            state=GamedayState.CANCELLED, ended_at=now
        )
        Gameday.objects.filter(cluster=cluster, state=GamedayState.RUNNING).update(
            state=GamedayState.DONE, ended_at=now
        )
        short = str(cluster.uid)[:8]
        cluster.name = f"{cluster.name[:40]} (retired {short})"
        cluster.slug = f"{cluster.slug[:40]}-retired-{short}"
        cluster.retired_at = now
        cluster.save(update_fields=["name", "slug", "retired_at"])
    return cluster


def _answers(cluster: Cluster) -> bool:
    try:
        return bool(look_at_cluster(kube.credentials_of(cluster))["uid"] == cluster.uid)
    except (ClusterRefused, ClusterUnreachable):
        return False


def _answer_for(injection: Injection, actor: User, reason: str) -> None:
    """A named person says what became of it: the nodes that held the fault are gone."""
    said = f"{actor} retired the cluster: {reason}"
    if injection.state not in BEFORE_ARMING:
        end_gone(injection, actor=actor, reason=said)
        return
    Lease.objects.filter(injection=injection).update(fence=F("fence") + 1)
    injection.state, injection.reason = InjectionState.REFUSED, said
    injection.ended_at = timezone.now()
    injection.save(update_fields=["state", "reason", "ended_at"])
    TimelineEntry.objects.create(
        injection=injection,
        at=injection.ended_at,
        kind=EntryKind.ACTION,
        text=said,
        actor=actor,
        data={"state": injection.state},
    )
    end_injection(injection.pk)
