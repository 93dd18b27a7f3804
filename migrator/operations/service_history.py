"""The one write path of a service's history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from core.redaction import redact_text
from migrator.models import Service, ServiceChange
from migrator.service_fields import BY_NAME, in_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.models import User
    from migrator.choices import ServiceVerb

log = structlog.get_logger(__name__)
_LONGEST = 400


def record(
    *, actor: User, service: Service, verb: ServiceVerb, details: Mapping[str, list[str]]
) -> None:
    """Write down one verb, in the transaction that does it."""
    ServiceChange.objects.create(service=service, verb=verb, by=actor, details=for_good(details))
    log.info(
        "service_changed",
        actor=actor.username,
        service=service.slug,
        verb=str(verb),
        fields=sorted(details),
    )


def for_good(details: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """What may be kept for ever: without what could be a secret."""
    # All texts at once first: what is in one of them is in all together, and nearly always there
    # is nothing. An import has hundreds of thousands of texts.
    together = "\n".join(text for texts in details.values() for text in texts if text)
    if redact_text(together) == together:
        return {name: list(texts) for name, texts in details.items()}
    return {name: [redact_text(text) for text in texts] for name, texts in details.items()}


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    """What changes, by field, as two short texts: before and after."""
    return {
        name: [_text(name, before.get(name)), _text(name, value)]
        for name, value in after.items()
        if before.get(name) != value
    }


def _text(name: str, value: Any) -> str:
    if name in BY_NAME and value is not None:
        text = in_text(name, value)
    elif isinstance(value, list):
        text = "; ".join(str(each) for each in value)
    else:
        text = "" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
