"""What every end of an injection brings with it, inside the transaction that ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils import timezone

from core.operations.slots import release_slot
from gamedays.choices import (
    FINAL,
    GamedayState,
    InjectionState,
    Outcome,
    Purpose,
    VerificationTask,
)
from gamedays.models import Gameday, Injection, Verification

if TYPE_CHECKING:
    import uuid


def end_injection(injection_id: uuid.UUID) -> None:
    """Release the slot; the gameday is done when its whole agenda is, a re-verification with its
    one run. Call it when the end is in the row."""
    # The gameday first, as whoever starts its next fault does: the other way round deadlocks.
    gameday = Gameday.objects.select_for_update().get(agenda__injections=injection_id)
    release_slot(holder=injection_id)
    injection = Injection.objects.get(pk=injection_id)
    refused = injection.state == InjectionState.REFUSED
    if refused:
        end_unproved(gameday, f"Refused. {injection.reason}")
    # A refused item was never run: it waits for another try, or for a person to end the gameday.
    # A re-verification does not: it is asked for again on the finding's page, as a new one.
    ran = FINAL - {InjectionState.REFUSED}
    waiting = gameday.agenda.exclude(injections__state__in=sorted(ran))
    over = not waiting.exists() or (refused and gameday.purpose == Purpose.VERIFICATION)
    if gameday.state == GamedayState.RUNNING and over:
        gameday.state = GamedayState.DONE
        gameday.ended_at = timezone.now()
        gameday.save(update_fields=["state", "ended_at"])


def end_unproved(gameday: Gameday, why: str) -> None:
    """Close the re-verification that this gameday was booked for and that its run did not answer,
    so that the finding may be re-verified again. `why` is a sentence that a person reads."""
    Verification.objects.filter(gameday=gameday, outcome="").update(
        task=VerificationTask.EVALUATED,
        outcome=Outcome.INVALID,
        explanation=f"{why.strip()} It shows nothing about the finding: re-verify again.",
        evaluated_at=timezone.now(),
    )
