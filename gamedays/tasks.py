"""Celery's entry points. A message is only a hint: rows and fences decide what happens."""

from __future__ import annotations

import uuid

from celery import shared_task
from celery.signals import worker_shutting_down
from django.db import connection

from gamedays.execution import shell
from gamedays.operations.due import start_due, wake_planned
from gamedays.operations.emergency import enforce_emergency_stop
from gamedays.operations.run_accounts import remove_orphaned_accounts

_STOPPING = shell.Stopping()


@shared_task(name="gamedays.tasks.conduct", acks_late=False)
def conduct(injection_id: str) -> None:
    """Conduct one injection, if nobody else does."""
    key = uuid.UUID(injection_id)
    try:
        fence = None if _STOPPING.event.is_set() else shell.claim_first(key)
        if fence is not None:
            shell.conduct(key, fence, _STOPPING)
    finally:
        connection.close()


@shared_task(name="gamedays.tasks.look_for_due", acks_late=False)
def look_for_due() -> None:
    """Start what is booked for now, wake planned injections whose message was lost, and hold an
    emergency stop up."""
    enforce_emergency_stop()
    start_due()
    wake_planned()


@shared_task(name="gamedays.tasks.remove_orphaned_accounts", acks_late=False)
def remove_orphans() -> None:
    """Remove what is left in clusters of runs that are over."""
    remove_orphaned_accounts()


@worker_shutting_down.connect
def undo_before_leaving(**_: object) -> None:
    """A worker that is told to stop brings its live fault down first."""
    _STOPPING.set("The worker was told to stop.")
