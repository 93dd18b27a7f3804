"""Times on pages are in the zone of the person who looks."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

Handler = Callable[[HttpRequest], HttpResponseBase]


def timezone_middleware(get_response: Handler) -> Handler:
    """Activate the signed-in person's zone for this request, and only for it."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        with timezone.override(zone_of(request)):
            return get_response(request)

    return middleware


def zone_of(request: HttpRequest) -> zoneinfo.ZoneInfo:
    """The person's zone; UTC for nobody, and for a name that the system no longer knows."""
    name = getattr(request.user, "time_zone", "UTC")
    return zone_or_utc(name)


def zone_or_utc(name: str) -> zoneinfo.ZoneInfo:
    """The IANA zone of that name, or UTC where the name means nothing here."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return zoneinfo.ZoneInfo("UTC")


def zone_names() -> list[str]:
    """Zones to choose from: places and UTC, without the old names that only alias them."""
    return sorted(
        name
        for name in zoneinfo.available_timezones()
        if name == "UTC" or ("/" in name and not name.startswith(("Etc/", "posix/", "right/")))
    )
