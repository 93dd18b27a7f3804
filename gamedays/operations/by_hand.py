"""A named person answers for a fault whose undo could not be proved.

This is the one way out of `undo_stuck` that is not a proof, and so it is signed: who, why, and
what was seen. It releases the slot, gives no verdict but *inconclusive*, and raises the fence, so
that whoever still tries to undo it finds that it is over.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from core import policies
from core.errors import Conflict, Invalid, NotAllowed
from core.redaction import redact_text
from gamedays.choices import (
    BY_HAND_WHERE_GONE,
    BY_HAND_WHERE_STUCK,
    EntryKind,
    InjectionState,
    Verdict,
)
from gamedays.drivers.fleet import Fleet, ask_each
from gamedays.models import Guard, Injection, Lease, TimelineEntry
from gamedays.operations.ending import end_injection
from gamedays.operations.outcomes import record_outcomes

if TYPE_CHECKING:
    import uuid

    from core.models import User
    from gamedays.drivers.fleet import NodeStatus, Reply

log = structlog.get_logger(__name__)
_TEXT_MAX = 4000


def resolve_by_hand(*, actor: User, injection: Injection, reason: str, seen: str) -> Injection:
    """Take the responsibility for a stuck fault: the cluster is as it should be, says `actor`.

    `reason` is what was done and why the proof could not be had; `seen` is what the person looked
    at, and what it said.

    Raises:
        NotFound, NotAllowed: leads only.
        Invalid: `reason` or `seen` is missing or too long; all complaints at once.
        Conflict: `not_stuck`: it is undone by now, or still on its way.
    """
    policies.require_see(actor, injection.cluster)
    if not policies.may_book(actor, injection.cluster):
        raise NotAllowed(
            f"Only a lead of {injection.cluster.team} may answer for a fault that could not be "
            "proved undone. Ask one of them."
        )
    reason, seen = redact_text(reason.strip()), redact_text(seen.strip())
    errors = _complaints(reason, seen)
    if errors:
        field = next(iter(errors))
        raise Invalid(errors[field], field=field, errors=errors)
    with transaction.atomic():
        end_by_hand(
            injection.pk,
            actor=actor,
            states=BY_HAND_WHERE_STUCK,
            reason=f"Resolved by hand by {actor}: {reason}",
            seen=seen,
        )
    injection.refresh_from_db()
    return injection


def ask_about(*, actor: User, injection: Injection) -> dict[str, Reply[NodeStatus]]:
    """What every guard of the cluster says now, by node; all at once, within some three seconds.

    With the credential that can undo and look, and no more. Raises NotFound to an outsider.
    """
    policies.require_see(actor, injection.cluster)
    guards = Guard.objects.select_related("node").filter(node__cluster=injection.cluster_id)
    return ask_each(guards, Fleet.status, undo_only=True)


def end_gone(injection: Injection, *, actor: User, reason: str) -> None:
    """Answer for whatever was armed or live on a cluster that exists no more. In the caller's
    transaction, which has seen that nothing of the cluster answers."""
    end_by_hand(
        injection.pk, actor=actor, states=BY_HAND_WHERE_GONE, reason=reason, seen="It is gone."
    )


def end_by_hand(
    injection_id: uuid.UUID,
    *,
    actor: User,
    states: Collection[InjectionState],
    reason: str,
    seen: str,
) -> None:
    """The move itself: one conditional UPDATE under a new fence. In the caller's transaction.

    Raises:
        Conflict: `not_stuck`: the state is none of `states`.
    """
    # The lease first, in everybody's order; whoever holds an older fence changes nothing any more.
    Lease.objects.filter(injection=injection_id).update(fence=F("fence") + 1)
    now = timezone.now()
    rows = Injection.objects.filter(pk=injection_id, state__in=sorted(states)).update(
        state=InjectionState.RESOLVED_BY_HAND,
        verdict=Verdict.INCONCLUSIVE,
        reason=reason,
        ended_at=now,
    )
    injection = Injection.objects.get(pk=injection_id)
    if rows != 1:
        raise Conflict(
            f"This fault is {injection.get_state_display().lower()} now, so there is nothing for "
            "a person to answer for. Look at the page again.",
            code="not_stuck",
        )
    if not injection.doubt:
        injection.doubt = reason
        injection.save(update_fields=["doubt"])
    TimelineEntry.objects.create(
        injection=injection,
        at=now,
        kind=EntryKind.ACTION,
        text=f"{reason} Seen: {seen}",
        actor=actor,
        data={"state": InjectionState.RESOLVED_BY_HAND, "seen": seen},
    )
    record_outcomes(injection)
    end_injection(injection_id)
    log.warning("resolved_by_hand", injection=str(injection_id), by=str(actor), reason=reason)


def _complaints(reason: str, seen: str) -> dict[str, str]:
    errors = {}
    if not reason:
        errors["reason"] = "Say what was done, and why Belay could not prove it by itself."
    if not seen:
        errors["seen"] = "Say what you looked at on the nodes, and what it showed."
    for field, text in (("reason", reason), ("seen", seen)):
        if len(text) > _TEXT_MAX:
            errors[field] = f"At most {_TEXT_MAX} characters; this has {len(text)}."
    return errors
