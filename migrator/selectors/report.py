"""One report, of a team or of everything: what a steering meeting asks for, on paper."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.utils import timezone

from core.errors import NotFound
from core.models import Team
from migrator.choices import Health
from migrator.selectors import causes as cause_selectors
from migrator.selectors import overview, services, waves
from migrator.selectors.burnup import BurnUp, Week, burn_ups
from migrator.selectors.services import Wanted, health_now

if TYPE_CHECKING:
    from core.models import User
    from migrator.models import Service
    from migrator.selectors.causes import Cause
    from migrator.selectors.overview import Board
    from migrator.selectors.waves import WaveView

CAUSES_MOST: Final = 20
SERVICES_MOST: Final = 40
WEEKS_MOST: Final = 26


@dataclass(frozen=True, kw_only=True)
class Report:
    team: Team | None
    """None for everything that the person sees."""
    at: dt.datetime
    board: Board
    waves: list[WaveView]
    causes: list[Cause]
    ailing: list[Any]
    """Services that are not on track, the worst first; each with `now`, its health."""
    burn_up: BurnUp | None

    @property
    def title(self) -> str:
        return f"Migrations of {self.team}" if self.team else "Migrations"

    @property
    def weeks(self) -> list[Week]:
        """The newest ones of the burn-up."""
        return list(self.burn_up.weeks[-WEEKS_MOST:]) if self.burn_up else []

    @property
    def not_on_track(self) -> int:
        total = self.board.total
        return total.rolled_back + total.blocked + total.late

    @property
    def more_ailing(self) -> int:
        return self.not_on_track - len(self.ailing)

    @property
    def query(self) -> str:
        return f"team={self.team.slug}" if self.team else ""


def report(user: User, team_slug: str) -> Report:
    """What is true now. A constant number of queries. Raises `NotFound` for a team without a
    service that the person sees."""
    team = None
    if team_slug:
        theirs = {each.slug: each for each in services.teams_with_services(user)}
        team = theirs.get(team_slug)
        if team is None:
            raise NotFound(f"There is no team {team_slug!r} with services that you may see.")
    wanted = Wanted(team=team.slug if team else "")
    burnt = burn_ups(user, team=wanted.team)
    every = waves.waves(user)
    return Report(
        team=team,
        at=timezone.now(),
        board=overview.board(user, wanted),
        waves=[each for each in every if team is None or each.wave.team_id == team.pk],
        causes=cause_selectors.worst_causes(user, wanted, CAUSES_MOST),
        ailing=_ailing(user, wanted),
        burn_up=burnt[0] if burnt else None,
    )


def _ailing(user: User, wanted: Wanted) -> list[Service]:
    bad = (Health.ROLLED_BACK, Health.BLOCKED, Health.LATE)
    found = services.services(user, wanted).annotate(now=health_now()).filter(now__in=bad)
    return list(overview.worst_first(found)[:SERVICES_MOST])
