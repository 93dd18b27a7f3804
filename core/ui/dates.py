"""Dates that people type."""

from __future__ import annotations

import datetime as dt

from django.core.exceptions import ValidationError
from django.utils import timezone

YEARS = 10


def require_near(day: dt.date) -> None:
    """A form's validator: no further than `YEARS` from today, either way.

    At both ends of the calendar another zone has no such moment, and nothing can be added to it.
    """
    if abs(day.year - timezone.localdate().year) > YEARS:
        raise ValidationError(
            f"{day.isoformat()} is more than {YEARS} years away. Look at the year again."
        )
