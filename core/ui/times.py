"""Times and durations in words."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def relative(at: dt.datetime, now: dt.datetime | None = None) -> str:
    """`in 3 days`, `2 minutes ago`, `just now`: one unit, rounded down."""
    seconds = (at - (now or timezone.now())).total_seconds()
    size = abs(seconds)
    for length, name in _UNITS:
        if size >= length:
            words = plural(int(size // length), name)
            return f"in {words}" if seconds > 0 else f"{words} ago"
    if size < 5:
        return "just now"
    words = f"{int(size)} s"
    return f"in {words}" if seconds > 0 else f"{words} ago"


def exact(at: dt.datetime, zone: dt.tzinfo | None = None) -> str:
    """`Mon 30 Nov 2026, 14:00 (Europe/Berlin)`, in `zone` or in the person's."""
    local = timezone.localtime(at, zone)
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M} ({zone_name(local)})"


def exact_seconds(at: dt.datetime) -> str:
    """Like `exact`, for what happened: with seconds."""
    local = timezone.localtime(at)
    return f"{local:%a} {local.day} {local:%b %Y, %H:%M:%S} ({zone_name(local)})"


def zone_name(local: dt.datetime) -> str:
    """The IANA name where there is one, else the abbreviation."""
    return str(getattr(local.tzinfo, "key", None) or local.tzname() or "UTC")


def clock(seconds: float) -> str:
    """`00:42`, or `1:02:03` from an hour on."""
    total = max(0, int(seconds))
    hours, rest = divmod(total, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes:02}:{left:02}"


def plural(number: int, noun: str) -> str:
    """`1 day`, `3 days`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
