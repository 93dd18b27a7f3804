"""Reads of waves: each with its services, how far they are, and its real dates."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Count, Max, Min, Q, QuerySet, Sum
from django.db.models.functions import Lower
from django.utils import timezone

from core.errors import NotFound
from migrator.choices import Health, Standing
from migrator.models import Service, Wave, WaveChange, WaveService
from migrator.selectors.services import services

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from core.models import User


@dataclass(frozen=True, kw_only=True)
class WaveView:
    """A wave with what became of it. Services that the person does not see are not counted."""

    wave: Wave
    services: int
    arrived: int
    steps: int
    behind: int
    held: int
    """Blocked or rolled back."""
    began_on: dt.date | None
    ended_on: dt.date | None
    """When its last service arrived; empty while one has not."""

    @property
    def state(self) -> str:
        """The word for it: a key of the marks."""
        today = timezone.now().date()
        if self.ended_on is not None:
            return "done"
        if today > self.wave.ends_on or (today > self.wave.starts_on and self.began_on is None):
            return "late" if self.services else "waiting"
        return "running" if self.began_on is not None else "waiting"

    @property
    def percent(self) -> int:
        return self.behind * 100 // self.steps if self.steps else 0


def current(user: User) -> QuerySet[Wave]:
    """For a filter: current waves by their start."""
    return Wave.objects.visible_to(user).current()


def waves(user: User) -> list[WaveView]:
    """Current waves by their start. Two queries."""
    return _viewed(user, current(user).select_related("team"))


def wave_with_id(user: User, wave_id: int) -> Wave:
    """The wave of that id, archived or not. Raises `NotFound`, to outsiders too."""
    seen = Wave.objects.visible_to(user).select_related("team", "made_by")
    found = seen.filter(pk=wave_id).first() if wave_id < 2**63 else None
    if found is None:
        raise NotFound("There is no such wave among those that you may see.")
    return found


def wave_view(user: User, wave: Wave) -> WaveView:
    return _viewed(user, [wave])[0]


def members_of(user: User, wave: Wave) -> QuerySet[Service]:
    """The wave's services that the person sees, by name."""
    return services(user).filter(in_wave__wave=wave)


def history_of(wave: Wave) -> QuerySet[WaveChange]:
    return wave.changes.select_related("by")


def named(user: User, names: Iterable[str]) -> tuple[list[Service], list[str]]:
    """The visible services of those names in any case, and the names that none of them has. One
    query."""
    wanted = {" ".join(name.split()).lower(): " ".join(name.split()) for name in names}
    wanted.pop("", None)
    found: list[Service] = list(
        services(user).alias(lower=Lower("name")).filter(lower__in=list(wanted)) if wanted else ()
    )
    there = {service.name.lower() for service in found}
    return found, [name for key, name in wanted.items() if key not in there]


def _viewed(user: User, found: Iterable[Wave]) -> list[WaveView]:
    rows = list(found)
    inside = WaveService.objects.filter(wave__in=[wave.pk for wave in rows])
    if not user.is_superuser:
        inside = inside.filter(service__team__in=user.memberships.values("team"))
    figures = {
        row["wave"]: row
        for row in inside.order_by()
        .values("wave")
        .annotate(
            services=Count("pk"),
            arrived=Count("pk", filter=Q(service__standing__stage=Standing.ARRIVED)),
            steps=Sum("service__standing__steps"),
            behind=Sum("service__standing__behind"),
            held=Count(
                "pk",
                filter=Q(service__standing__health__in=(Health.BLOCKED, Health.ROLLED_BACK)),
            ),
            began=Min("service__standing__began_at"),
            ended=Max("service__standing__arrived_at"),
        )
    }
    return [_view(wave, figures.get(wave.pk)) for wave in rows]


def _view(wave: Wave, row: Mapping[str, object] | None) -> WaveView:
    if row is None:
        return WaveView(
            wave=wave, services=0, arrived=0, steps=0, behind=0, held=0,
            began_on=None, ended_on=None,
        )  # fmt: skip
    began, ended = row["began"], row["ended"]
    over = row["services"] == row["arrived"]
    return WaveView(
        wave=wave,
        services=_int(row["services"]),
        arrived=_int(row["arrived"]),
        steps=_int(row["steps"]),
        behind=_int(row["behind"]),
        held=_int(row["held"]),
        began_on=began.date() if isinstance(began, dt.datetime) else None,
        ended_on=ended.date() if over and isinstance(ended, dt.datetime) else None,
    )


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0
