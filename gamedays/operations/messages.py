"""Telling the workers. A message is a hint that saves a second, never what a fault rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from kombu.exceptions import OperationalError

if TYPE_CHECKING:
    import uuid

log = structlog.get_logger(__name__)


def send_conduct(injection_id: uuid.UUID) -> None:
    """Ask a worker to conduct it. With the broker down the next look for due work asks again."""
    from gamedays.tasks import conduct  # noqa: PLC0415  (tasks import operations)

    try:
        conduct.delay(str(injection_id))
    except (OperationalError, OSError) as error:
        log.warning("broker_unreachable", injection=str(injection_id), error=str(error))
