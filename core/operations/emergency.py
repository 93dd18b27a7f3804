"""The emergency stop's row: setting it, releasing it, and asking whether one is set.

What it means for faults is in `gamedays.operations.emergency`, which calls these; a migration step
asks `require_no_stop` before it goes forward. Undo, verification and rollback never ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction
from django.utils import timezone

from core import policies
from core.errors import Conflict, Invalid
from core.models import EmergencyStop
from core.redaction import redact_text
from core.selectors import current_stop

if TYPE_CHECKING:
    from core.models import User

_TEXT_MAX = 1000


def require_no_stop() -> None:
    """Raise `Conflict` (`emergency_stop`) while a stop is set: nothing new goes forward."""
    stop = current_stop()
    if stop is not None:
        why = f": “{stop.why}”" if stop.why else ""
        raise Conflict(
            f"The emergency stop is set, by {stop.set_by}{why}. Nothing is armed and no step goes "
            "forward until a team lead releases it with a reason.",
            code="emergency_stop",
        )


def record_stop(*, actor: User, why: str) -> EmergencyStop:
    """Set the stop; the one that is set already is returned as it is.

    Committed alone, before anything is aborted: whatever was armed before this commit is seen by
    who aborts after it, and whatever comes later finds the stop.

    Raises:
        NotAllowed: the actor sees no cluster, and so could abort nothing.
        Invalid: the text is too long.
    """
    policies.require_stop(actor)
    why = _checked(why, "why")
    try:
        with transaction.atomic():
            return EmergencyStop.objects.create(set_by=actor, why=why)
    except IntegrityError:
        # Somebody was quicker. If it was released in between, this one has to be set after all.
        return current_stop() or record_stop(actor=actor, why=why)


def record_release(*, actor: User, reason: str) -> EmergencyStop:
    """Release the stop that is set, signed. Inside the caller's transaction.

    Raises:
        NotAllowed: the actor leads no team that has a cluster.
        Invalid: no reason.
        Conflict: `no_emergency_stop`: none is set, or somebody was quicker.
    """
    policies.require_release(actor)
    reason = _checked(reason, "reason")
    if not reason:
        raise Invalid(
            "Say why it is safe to go on: what was wrong, and what has been done about it.",
            field="reason",
        )
    stop = EmergencyStop.objects.select_for_update().filter(released_at__isnull=True).first()
    if stop is None:
        raise Conflict("No emergency stop is set: it was released.", code="no_emergency_stop")
    stop.released_by, stop.released_at, stop.release_reason = actor, timezone.now(), reason
    stop.save(update_fields=["released_by", "released_at", "release_reason"])
    return stop


def _checked(text: str, field: str) -> str:
    text = redact_text(text.strip())
    if len(text) > _TEXT_MAX:
        raise Invalid(f"At most {_TEXT_MAX} characters; this text has {len(text)}.", field=field)
    return text
