"""Telling the workers. A message is a hint that saves a second, never what a step rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from kombu.exceptions import OperationalError

if TYPE_CHECKING:
    import uuid

log = structlog.get_logger(__name__)


def send_check_rope(plan_id: int, user_id: int) -> None:
    """Ask the worker that holds every key to look. With the broker down, the clock looks hourly."""
    from migrator.tasks import check_rope  # noqa: PLC0415  (tasks import operations)

    try:
        check_rope.delay(plan_id, user_id)
    except (OperationalError, OSError) as error:
        log.warning("broker_unreachable", plan=plan_id, error=str(error))


def send_conduct_step(attempt_id: uuid.UUID) -> None:
    """Ask a worker to look at it. With the broker down the next look for due work asks again."""
    from migrator.tasks import conduct_step  # noqa: PLC0415  (tasks import operations)

    try:
        conduct_step.delay(str(attempt_id))
    except (OperationalError, OSError) as error:
        log.warning("broker_unreachable", attempt=str(attempt_id), error=str(error))
