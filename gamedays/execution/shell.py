"""Where step functions meet threads, sockets and the database: making a world, and the loop."""

from __future__ import annotations

import os
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from django.db.models import F

from core import kube
from core.lost_rows import RowsLostError
from gamedays.choices import BEFORE_ARMING, FINAL, Alarm, EntryKind, InjectionState
from gamedays.drivers.cluster import ClusterDriver
from gamedays.drivers.fleet import Fleet
from gamedays.drivers.guard_client import GuardClient
from gamedays.execution.clock import SystemClock
from gamedays.execution.conductor import Conductor
from gamedays.execution.sampling import Watcher
from gamedays.execution.way_back import WayBack
from gamedays.execution.world import World
from gamedays.journal import Journal
from gamedays.models import ClusterAuthority, Guard, Injection, Lease, Probe
from gamedays.probes.sources import metrics_of, spec_of

if TYPE_CHECKING:
    import uuid

log = structlog.get_logger(__name__)
FAILED_OFTEN = 3
"""So many tries, each by another holder of the lease, and people are told."""


@dataclass
class Stopping:
    """Set once, when this process is told to end; every loop of the process waits on it."""

    event: threading.Event = field(default_factory=threading.Event)
    reason: str = ""

    def set(self, reason: str) -> None:
        self.reason = reason
        self.event.set()


def me() -> str:
    """Who holds a lease: for people who read the row, not for any decision."""
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_native_id()}"


def claim_first(injection_id: uuid.UUID) -> int | None:
    """The first fence, for exactly one of however many messages; None for all others."""
    rows = Lease.objects.filter(injection_id=injection_id, fence=0).update(
        fence=1, holder=me(), renewals=F("renewals") + 1
    )
    return 1 if rows == 1 else None


def take_over(injection_id: uuid.UUID, *, fence: int, renewals: int) -> int | None:
    """The next fence, if nobody renewed or took over since `renewals` was read."""
    rows = Lease.objects.filter(injection_id=injection_id, fence=fence, renewals=renewals).update(
        fence=fence + 1, holder=me(), renewals=F("renewals") + 1, given_up=False
    )
    return fence + 1 if rows == 1 else None


def conduct(
    injection_id: uuid.UUID, fence: int, stopping: Stopping, *, undo_only: bool = False
) -> None:
    """Conduct one injection until it is final, taken over, or handed over. Blocks; own thread."""
    try:
        world, fleet = make_world(injection_id)
    except Exception as error:
        log.exception("no_world_to_conduct_in", injection=str(injection_id), fence=fence)
        _refuse_without_world(injection_id, fence, type(error).__name__)
        say_that_it_failed(injection_id, fence, error)
        raise
    conduct_with = WayBack if undo_only else Conductor
    conductor = conduct_with(injection_id, fence, world)
    log.info("conducting", injection=str(injection_id), fence=fence, undo_only=undo_only)
    try:
        while True:
            if stopping.event.is_set():
                conductor.stop(stopping.reason)
            wake_s = conductor.advance()
            if wake_s is None:
                return
            if stopping.event.is_set():
                # Waiting on an event that is set would spin: what is left is bounded by guards.
                threading.Event().wait(wake_s)
            else:
                stopping.event.wait(wake_s)
    except Exception as error:
        log.exception("conductor_failed", injection=str(injection_id), fence=fence)
        if fence < FAILED_OFTEN:
            # Whatever we did not think of must not cost the fifteen seconds of a lease. Later
            # it may: a row that always fails would be taken over twice a second.
            world.rows.give_up(injection_id, fence)
        say_that_it_failed(injection_id, fence, error)
        raise
    finally:
        world.watch.stop()
        fleet.close()
        log.info("conducted", injection=str(injection_id), fence=fence)


def say_that_it_failed(injection_id: uuid.UUID, fence: int, error: Exception) -> None:
    """An alarm for people, when nobody's try has worked: the 3rd, the 6th, the 12th and so on.

    `fence` counts the tries. The log has every one of them with its traceback.
    """
    rounds, rest = divmod(fence, FAILED_OFTEN)
    if rest or rounds.bit_count() != 1:
        return
    rows = Journal()
    try:
        run = rows.read(injection_id, fence)
        if run is not None and run.state not in FINAL:
            rows.write_entry(
                run,
                kind=EntryKind.ALARM,
                text=f"Nobody can conduct this run: try {fence} failed too "
                f"({type(error).__name__}). The guards undo by themselves, and it is tried again "
                "for ever; a person is needed. The logs of workers and watchdog say more.",
                data={"alarm": Alarm.CONDUCTING, "tries": fence},
            )
    except RowsLostError:
        log.warning("alarm_not_written", injection=str(injection_id), fence=fence)


def _refuse_without_world(injection_id: uuid.UUID, fence: int, why: str) -> None:
    """A guard's certificate or a key that cannot be read: nothing can be done on that cluster.

    Before arming the slot must not be kept for a fault that nobody can conduct. Later it must:
    the row stays as it is, the guards undo by themselves, and every takeover looks again.
    """
    rows = Journal()
    run = rows.read(injection_id, fence)
    if run is None or run.state not in BEFORE_ARMING:
        return
    reason = (
        f"What Belay stores of this cluster and its guards cannot be used ({why}; the worker's "
        "log says more). Nothing was touched. Install the guards again, then start again."
    )
    rows.move(
        run,
        InjectionState.REFUSED,
        text=f"Refused. {reason}",
        reason=reason,
        ended_at=SystemClock().now(),
    )


def make_world(injection_id: uuid.UUID) -> tuple[World, Fleet]:
    """Everything that a conductor needs, read once: afterwards the database may go away."""
    injection = Injection.objects.select_related("cluster").get(pk=injection_id)
    cluster = injection.cluster
    credentials = kube.credentials_of(cluster)
    nodes = list(cluster.nodes.filter(control_plane=True))
    api_servers = {node.name: node.api_server for node in nodes}
    guards = Guard.objects.select_related("node").filter(node__cluster=cluster)
    authority = ClusterAuthority.objects.filter(cluster=cluster).first()
    fleet = Fleet(
        {guard.node.name: GuardClient.for_guard(guard) for guard in guards},
        epoch=authority.epoch if authority else 0,
    )
    driver = ClusterDriver(uid=cluster.uid, credentials=credentials, api_servers=api_servers)
    probes = tuple(spec_of(probe) for probe in Probe.objects.filter(cluster=cluster, enabled=True))
    watch = Watcher(
        probes=probes,
        credentials=credentials,
        api_servers=api_servers,
        fleet=fleet,
        list_pods=driver.list_pods,
        metrics=metrics_of(cluster),
    )
    world = World(clock=SystemClock(), rows=Journal(), guards=fleet, cluster=driver, watch=watch)
    return world, fleet
