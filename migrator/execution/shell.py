"""Where step functions meet threads, sockets and the database: making a world, and the loop."""

from __future__ import annotations

import http.client
import os
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from django.db.models import F

from core import kube, wire
from core.addresses import require_allowed
from core.errors import DomainError
from core.lost_rows import with_deadline
from migrator.choices import FINAL, GOING_BACK, UNTOUCHED, AttemptState, EntryKind
from migrator.drivers.api import ClusterApi
from migrator.drivers.envoys import EnvoyFigures
from migrator.execution.clock import SystemClock
from migrator.execution.conductor import Conductor
from migrator.execution.homeward import Homeward
from migrator.execution.world import World
from migrator.journal import Journal
from migrator.models import Attempt, EnvoyListeners, StepLease, Tick
from migrator.runners.base import Asks, Hands, Ticks

if TYPE_CHECKING:
    import uuid

    from core.models import Cluster

log = structlog.get_logger(__name__)
HAND_BACK_S = 2.0
"""What need not be looked at sooner waits as a row, and holds no thread."""


@dataclass
class Stopping:
    """Set once, when this process is told to end; every loop of the process waits on it."""

    event: threading.Event = field(default_factory=threading.Event)
    reason: str = ""

    def set(self, reason: str) -> None:
        self.reason = reason
        self.event.set()


class HttpAsks:
    """`Asks` of the runners."""

    def http(self, url: str, *, host: str = "", timeout_s: float = 3.0) -> int:
        headers = {"User-Agent": "belay-step"} | ({"Host": host} if host else {})
        try:
            answer = wire.request(
                "GET", url, timeout_s=timeout_s, headers=headers, check=require_allowed
            )
        except (http.client.HTTPException, wire.AddressRefusedError) as error:
            raise OSError(wire.reason_of(error)) from error
        return answer.status


class TickRows:
    """`Ticks` of the runners, of one attempt."""

    def __init__(self, attempt_id: uuid.UUID) -> None:
        self._id = attempt_id

    @with_deadline
    def ticked(self, part: str) -> frozenset[int]:
        found = Tick.objects.filter(attempt_id=self._id, part=part)
        return frozenset(found.values_list("item", flat=True))


def me() -> str:
    """Who holds a lease: for people who read the row, not for any decision."""
    return f"{socket.gethostname()}:{os.getpid()}:{threading.get_native_id()}"


def claim(attempt_id: uuid.UUID) -> int | None:
    """The next fence, for exactly one of however many messages; None while somebody holds it."""
    lease = StepLease.objects.filter(attempt_id=attempt_id, held=False).first()
    if lease is None:
        return None
    return _take(lease.pk, fence=lease.fence, renewals=lease.renewals, held=False)


def take_over(attempt_id: uuid.UUID, *, fence: int, renewals: int) -> int | None:
    """The next fence, if nobody renewed or took over since `renewals` was read."""
    return _take(attempt_id, fence=fence, renewals=renewals, held=True)


def _take(attempt_id: uuid.UUID, *, fence: int, renewals: int, held: bool) -> int | None:
    rows = StepLease.objects.filter(
        attempt_id=attempt_id, fence=fence, renewals=renewals, held=held
    ).update(fence=fence + 1, held=True, holder=me(), renewals=F("renewals") + 1, given_up=False)
    return fence + 1 if rows == 1 else None


def conduct(
    attempt_id: uuid.UUID, fence: int, stopping: Stopping, *, undo_only: bool = False
) -> None:
    """Conduct one attempt until it is final, taken over, or need not be looked at for a while."""
    try:
        world = make_world(attempt_id)
    except DomainError as error:
        # A key that this process does not hold: another worker may. Nothing is known to be wrong.
        log.warning("no_world_for_step", attempt=str(attempt_id), code=error.code)
        Journal().rest(attempt_id, fence, again_s=30.0)
        raise
    conductor = (Homeward if undo_only else Conductor)(attempt_id, fence, world)
    log.info("conducting_step", attempt=str(attempt_id), fence=fence, undo_only=undo_only)
    try:
        drive(conductor, attempt_id, fence, stopping, world)
    except Exception as error:
        log.exception("step_conductor_failed", attempt=str(attempt_id), fence=fence)
        leave_to_a_person(world, attempt_id, fence, type(error).__name__)
        raise


def leave_to_a_person(world: World, attempt_id: uuid.UUID, fence: int, what: str) -> None:
    """Whatever we did not think of is not tried for ever in silence: it is refused where nothing
    was touched, and waits for a person where nobody is exposed. What exposes users goes back."""
    trial = world.rows.read(attempt_id, fence)
    if trial is None or trial.state in FINAL:
        return
    why = f"Belay failed in the middle of it ({what}; the worker's log says more)."
    if trial.state in UNTOUCHED:
        world.rows.move(
            trial,
            AttemptState.REFUSED,
            text=f"Refused, nothing was changed. {why}",
            reason=why,
            ended_at=world.clock.now(),
        )
    elif trial.state in (AttemptState.CHANGING, AttemptState.JUDGING) and not trial.exposes:
        world.rows.move(
            trial,
            AttemptState.INTERRUPTED,
            kind=EntryKind.ALARM,
            text=f"It waits for a person: {why}",
            reason=why,
        )
        world.rows.rest(attempt_id, fence, again_s=3600.0)
    elif trial.state in GOING_BACK:
        # Told, and tried again and again, but not in a circle that nobody sees.
        if trial.state is not AttemptState.STUCK:
            world.rows.move(
                trial,
                AttemptState.STUCK,
                kind=EntryKind.ALARM,
                text=f"Not back: {why} A person is needed.",
                reason=why,
            )
        world.rows.rest(attempt_id, fence, again_s=30.0)
    else:
        world.rows.give_up(attempt_id, fence)


def drive(
    conductor: Homeward, attempt_id: uuid.UUID, fence: int, stopping: Stopping, world: World
) -> None:
    """The loop. A lease that has to be held is held; any other is let go of between two looks."""
    while True:
        if stopping.event.is_set():
            conductor.stop(stopping.reason)
        wake_s = conductor.advance()
        if wake_s is None:
            return
        leave = stopping.event.is_set() or wake_s > HAND_BACK_S
        if leave and not conductor.holds and conductor.knows_rows:
            world.rows.rest(attempt_id, fence, again_s=wake_s)
            return
        if stopping.event.is_set():
            threading.Event().wait(wake_s)
        else:
            stopping.event.wait(wake_s)


def make_world(attempt_id: uuid.UUID) -> World:
    """Everything that a conductor needs, read once: afterwards the database may go away."""
    attempt = Attempt.objects.select_related("cluster").get(pk=attempt_id)
    hands = hands_for(attempt.cluster, HttpAsks(), TickRows(attempt_id))
    return World(clock=SystemClock(), rows=Journal(), hands=hands)


def hands_for(cluster: Cluster, asks: Asks, ticks: Ticks | None = None) -> Hands:
    """The world of a cluster. `DomainError` where its credentials cannot be read here."""
    listeners = EnvoyListeners.objects.filter(cluster=cluster).first()
    return Hands(
        api=ClusterApi(kube.credentials_of(cluster)),
        envoys=EnvoyFigures(listeners.urls if listeners else ()),
        asks=asks,
        ticks=ticks or NoTicks(),
    )


class NoTicks:
    """`Ticks` where there is no attempt, and so no checklist."""

    def ticked(self, part: str) -> frozenset[int]:
        return frozenset()
