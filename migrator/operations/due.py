"""What the clock looks at: attempts whose next look is due and that nobody holds."""

from __future__ import annotations

from django.utils import timezone

from migrator.models import Attempt
from migrator.operations.messages import send_conduct_step

AT_ONCE = 50
"""Messages of one look; the next comes a second later."""


def wake_due_attempts() -> int:
    """Ask workers for every attempt that is due; how many. Soaks are rows, looked at here."""
    due = Attempt.objects.live().filter(due_at__lte=timezone.now(), lease__held=False)
    keys = list(due.order_by("due_at").values_list("pk", flat=True)[:AT_ONCE])
    for key in keys:
        send_conduct_step(key)
    return len(keys)
