"""What is blocked by what: everything that holds next steps, by what holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.db.models import Count, Max, Min
from django.urls import reverse

from core.selectors import current_stop
from migrator.models import Hold, Service
from migrator.selectors.services import Wanted, services
from migrator.selectors.standings import STOP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from django.db.models import QuerySet

    from core.models import EmergencyStop, User


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One thing that holds services back."""

    code: str
    subject: str
    cause: str
    number: int
    """Services that it holds."""
    one: str
    """The name of one of them."""
    clears: str
    link: str
    """Both empty where each of them is cleared in a place of its own."""

    @property
    def query(self) -> str:
        return urlencode({"code": self.code, "subject": self.subject})


def causes(user: User, wanted: Wanted) -> QuerySet[Hold, Any]:
    """The groups as rows, what holds most first; see `as_causes`. The emergency stop is not among
    them: `stopped` tells it."""
    return (
        _holds(user, wanted)
        .order_by()
        .values("code", "subject")
        .annotate(
            number=Count("pk"),
            said=Min("cause"),
            one=Min("service__name"),
            verb=Min("clears"),
            place=Min("link"),
            other=Max("link"),
        )
        .order_by("-number", "said", "code", "subject")
    )


def as_causes(rows: Iterable[Mapping[str, Any]]) -> list[Cause]:
    found = []
    for row in rows:
        same = row["place"] == row["other"]
        found.append(
            Cause(
                code=row["code"],
                subject=row["subject"],
                cause=row["said"],
                number=row["number"],
                one=row["one"],
                clears=row["verb"] if same else "",
                link=row["place"] if same else "",
            )
        )
    return found


def stopped(user: User, wanted: Wanted, stop: EmergencyStop | None) -> Cause | None:
    """The emergency stop as a cause; None where none is set, or where it holds nothing."""
    if stop is None:
        return None
    ahead = services(user, wanted).filter(standing__step__isnull=False).order_by()
    found = ahead.aggregate(number=Count("pk"), one=Min("name"))
    if not found["number"]:
        return None
    return Cause(
        code=STOP,
        subject="",
        cause=f"The emergency stop is set, by {stop.set_by}",
        number=found["number"],
        one=found["one"],
        clears="Release the emergency stop",
        link=reverse("emergency"),
    )


def worst_causes(user: User, wanted: Wanted, most: int) -> list[Cause]:
    """The first few, with the emergency stop on top."""
    stop = stopped(user, wanted, current_stop())
    return [*([stop] if stop else []), *as_causes(causes(user, wanted)[:most])]


def held_by(user: User, wanted: Wanted, *, code: str, subject: str) -> QuerySet[Hold]:
    """Everything that one cause holds, by name."""
    return (
        _holds(user, wanted)
        .filter(code=code, subject=subject)
        .select_related("service__team", "service__standing", "step")
        .order_by("service__name", "pk")
    )


def stopped_services(user: User, wanted: Wanted) -> QuerySet[Service]:
    """What the emergency stop holds: whatever has a step ahead."""
    return services(user, wanted).filter(standing__step__isnull=False)


def _holds(user: User, wanted: Wanted) -> QuerySet[Hold]:
    if user.is_superuser and not wanted.anything:
        return Hold.objects.all()
    return Hold.objects.filter(service__in=services(user, wanted).order_by().values("pk"))
