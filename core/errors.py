"""Named refusals. Every one has a stable code for programs and a sentence for people.

The sentence says what was wrong, with which value, and what to do now. Pages show it beside
`field` (or on top where there is none), the API puts it into problem+json, chat sends it as is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn


class DomainError(Exception):
    """A rule said no. Nothing was changed."""

    code = "refused"

    def __init__(self, message: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        if code is not None:
            self.code = code


class NotAllowed(DomainError):
    """The person may see the object, but may not do this to it."""

    code = "not_allowed"


class NotFound(DomainError):
    """The object is not there, or the person may not know that it is."""

    code = "not_found"


class Invalid(DomainError):
    """A value was wrong; `errors` holds every field's complaint at once, so nothing is retyped."""

    code = "invalid"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        field: str | None = None,
        errors: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message, code=code, field=field)
        self.errors = errors or ({field: message} if field else {})


class Conflict(DomainError):
    """Something else holds what this needs, or the state moved on meanwhile."""

    code = "conflict"


class ClusterRefused(DomainError):
    """A cluster cannot be registered or aimed at; the message says what its owner can do."""

    code = "cluster_refused"


class ClusterUnreachable(DomainError):
    """No answer from the cluster in time. Says nothing about its state: unknown."""

    code = "cluster_unreachable"


def sentences(errors: Mapping[str, DomainError | str]) -> dict[str, str]:
    """Complaints by field, as the sentences that stand beside the fields."""
    return {field: e if isinstance(e, str) else e.message for field, e in errors.items()}


def raise_invalid(errors: Mapping[str, DomainError | str]) -> NoReturn:
    """Raise every complaint at once, under the code of the first."""
    field, first = next(iter(errors.items()))
    texts = sentences(errors)
    code = Invalid.code if isinstance(first, str) else first.code
    raise Invalid(texts[field], code=code, field=field, errors=texts)
