"""Structured logs: one line per event, as text for people or JSON for machines; no secrets."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponseBase
from structlog.typing import EventDict, Processor, WrappedLogger

from core.redaction import HIDDEN, NAMES, redact

_KEY = re.compile(r"_key$|^key$", re.IGNORECASE)
"""In what is stored a key may be a scenario's; in a log it is hidden, whatever it opens."""


def hide_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide values whose names say that they are secret, and what has the shape of one, as deep as
    they go."""
    for name, value in event.items():
        secret = NAMES.search(name) or _KEY.search(name)
        event[name] = HIDDEN if secret else redact(value)
    return event


def logging_config(*, log_format: str, level: str) -> dict[str, Any]:
    """The dictConfig for Django and Celery; also sets up structlog itself.

    `log_format` is `console` or `json`; `level` is a name such as INFO.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    hide_secrets,
                    renderer,
                ],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Django's own console handler would write every error twice.
            "django": {"handlers": [], "propagate": True},
            "django.server": {"handlers": [], "propagate": True},
            # A look for due work every second is no news.
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING"},
            "kubernetes.client.rest": {"level": "WARNING"},
            "urllib3": {"level": "WARNING"},
        },
    }


def request_id_middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Give every request an id, on its log lines and in the answer."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        request_id = uuid.uuid4().hex[:12]
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = get_response(request)
        response["X-Request-ID"] = request_id
        return response

    return middleware
