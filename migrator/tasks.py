"""Celery's entry points. A message is only a hint: rows and fences decide what happens."""

from __future__ import annotations

import uuid

from celery import shared_task
from celery.signals import worker_shutting_down
from django.db import connection

from migrator.execution import shell
from migrator.operations.due import wake_due_attempts
from migrator.operations.ropes import check_all_ropes, check_rope_of
from migrator.operations.standings import refresh_standings

_STOPPING = shell.Stopping()


@shared_task(name="migrator.tasks.conduct_step", acks_late=False)
def conduct_step(attempt_id: str) -> None:
    """Look at one attempt, if nobody else does."""
    key = uuid.UUID(attempt_id)
    try:
        fence = None if _STOPPING.event.is_set() else shell.claim(key)
        if fence is not None:
            shell.conduct(key, fence, _STOPPING)
    finally:
        connection.close()


@shared_task(name="migrator.tasks.look_at_steps", acks_late=False)
def look_at_steps() -> None:
    """Send a message for every attempt that is due and that nobody holds."""
    wake_due_attempts()


@shared_task(name="migrator.tasks.check_ropes", acks_late=False)
def check_ropes() -> None:
    """Look whether the original state of every current plan is within reach."""
    check_all_ropes()


@shared_task(name="migrator.tasks.check_rope", acks_late=False)
def check_rope(plan_id: int, user_id: int) -> None:
    """Look at one rope, for a page whose process may not."""
    check_rope_of(plan_id, user_id)


@shared_task(name="migrator.tasks.look_at_standings", acks_late=False)
def look_at_standings() -> None:
    """Bring what the board reads up to date, for a moment."""
    refresh_standings()


@worker_shutting_down.connect
def go_back_before_leaving(**_: object) -> None:
    """A worker that is told to stop puts back what exposes users first."""
    _STOPPING.set("The worker was told to stop.")
