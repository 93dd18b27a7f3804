"""What every end of an injection brings with it, inside the transaction that ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils import timezone

from core.operations.slots import release_slot
from gamedays.choices import FINAL, GamedayState, InjectionState
from gamedays.models import Gameday

if TYPE_CHECKING:
    import uuid


def end_injection(injection_id: uuid.UUID) -> None:
    """Release the slot; the gameday is done when its whole agenda is."""
    # The gameday first, as whoever starts its next fault does: the other way round deadlocks.
    gameday = Gameday.objects.select_for_update().get(agenda__injections=injection_id)
    release_slot(holder=injection_id)
    # A refused item was never run: it waits for another try, or for a person to end the gameday.
    ran = FINAL - {InjectionState.REFUSED}
    waiting = gameday.agenda.exclude(injections__state__in=sorted(ran))
    if gameday.state == GamedayState.RUNNING and not waiting.exists():
        gameday.state = GamedayState.DONE
        gameday.ended_at = timezone.now()
        gameday.save(update_fields=["state", "ended_at"])
