"""Writing down what a person did to a plan: one row for every verb, in its transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from core.redaction import redact, redact_text
from migrator.choices import EntryKind
from migrator.models import HistoryEntry

if TYPE_CHECKING:
    from core.models import User
    from migrator.models import Attempt, Plan, Step


def write_history(
    plan: Plan,
    *,
    actor: User | None,
    text: str,
    step: Step | None = None,
    attempt: Attempt | None = None,
    kind: EntryKind = EntryKind.ACTION,
    data: Mapping[str, Any] | None = None,
) -> HistoryEntry:
    """Inside the caller's transaction. `actor` is None where the clock or the engine did it."""
    return HistoryEntry.objects.create(
        plan=plan,
        step=step,
        attempt=attempt,
        at=timezone.now(),
        kind=kind,
        text=redact_text(text),
        data=redact(dict(data or {})),
        actor=actor,
    )
