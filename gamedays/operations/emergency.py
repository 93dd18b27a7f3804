"""What the emergency stop does to faults: abort what is live, let nothing be armed.

Stopping goes in this order, so that no lock and no clock is needed between the two: the stop is
committed first; then everything that is live is aborted, each in a transaction of its own, so that
one row that is held keeps no abort from the others. A fault that was armed before that commit is
seen by the second step, and one that comes later finds the stop in the transaction that would have
moved it forward.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import F
from django.utils import timezone

from core.operations.emergency import record_release, record_stop
from core.selectors import current_stop
from gamedays.choices import BEFORE_UNDO, EntryKind, InjectionState
from gamedays.models import ClusterAuthority, Injection, TimelineEntry
from gamedays.operations.runs import ask_for_abort

if TYPE_CHECKING:
    import uuid

    from core.models import EmergencyStop, User

log = structlog.get_logger(__name__)
_S = InjectionState
FORWARD = frozenset({_S.ARMING, _S.INJECTING})
"""The moves after which a guard is told something new. Everything else may go on."""


def set_emergency_stop(*, actor: User, why: str = "") -> EmergencyStop:
    """Set the stop and abort every live fault of the installation. Safe to call again.

    Raises:
        NotAllowed: the actor sees no cluster.
        Invalid: the text is too long.
    """
    stop = record_stop(actor=actor, why=why)
    log.warning("emergency_stop_set", by=str(stop.set_by), why=stop.why)
    _abort_all(stop)
    return stop


def release_emergency_stop(*, actor: User, reason: str) -> EmergencyStop:
    """Let faults and steps be started again. Every cluster's epoch rises with it: guards that
    hear of the new one refuse for ever what was planned before the stop.

    Raises:
        NotAllowed: the actor is no lead.
        Invalid: without a reason.
        Conflict: `no_emergency_stop`.
    """
    with transaction.atomic():
        stop = record_release(actor=actor, reason=reason)
        ClusterAuthority.objects.update(epoch=F("epoch") + 1)
    log.warning("emergency_stop_released", by=str(actor), reason=stop.release_reason)
    return stop


def enforce_emergency_stop() -> None:
    """Abort what is live while a stop is set: the process that set it may have died half-way.

    Called by every look for due work and by every watchdog, so that it needs no broker.
    """
    stop = current_stop()
    if stop is not None:
        _abort_all(stop)


def stopped_on_the_way(injection_id: uuid.UUID, to: InjectionState) -> bool:
    """Inside the transaction that would move an injection to `to`: whether a stop forbids it.

    The injection is aborted in the same transaction, so that its conductor finds out why.
    """
    if to not in FORWARD:
        return False
    stop = current_stop()
    if stop is None:
        return False
    rows = Injection.objects.filter(pk=injection_id, abort_requested_at__isnull=True).update(
        abort_requested_at=timezone.now(), abort_requested_by=stop.set_by
    )
    if rows == 1:
        TimelineEntry.objects.create(
            injection_id=injection_id,
            at=timezone.now(),
            kind=EntryKind.ACTION,
            text=f"Not {to.label.lower()}: {_told(stop)}",
            actor=stop.set_by,
            data={"abort": "requested", "emergency_stop": stop.pk},
        )
    return True


def _abort_all(stop: EmergencyStop) -> None:
    waiting = Injection.objects.filter(
        state__in=sorted(BEFORE_UNDO), abort_requested_at__isnull=True
    )
    for injection_id in waiting.values_list("pk", flat=True):
        try:
            ask_for_abort(injection_id, actor=stop.set_by, text=_told(stop))
        except (DatabaseError, InterfaceError):
            # The others must not wait for it; the next look takes it up again within a second.
            log.exception("emergency_stop_abort_failed", injection=str(injection_id))


def _told(stop: EmergencyStop) -> str:
    return f"Emergency stop by {stop.set_by}" + (f": {stop.why}" if stop.why else ".")
