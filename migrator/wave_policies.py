"""Who may do what to a wave. Deny unless allowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.choices import Role
from core.errors import NotAllowed, NotFound
from core.models import Membership, Team
from core.policies import role_in
from migrator.models import Wave

if TYPE_CHECKING:
    from core.models import User
    from migrator.models import Service


def teams_led(user: User) -> list[Team]:
    """Teams for which the person may make waves."""
    if not user.is_active:
        return []
    if user.is_superuser:
        return list(Team.objects.order_by("name"))
    led = Membership.objects.filter(user=user, role=Role.LEAD)
    return list(Team.objects.filter(pk__in=led.values("team")).order_by("name"))


def may_lead(user: User, wave: Wave) -> bool:
    return wave.archived_at is None and role_in(user, wave.team_id) is Role.LEAD


def require_lead_somewhere(user: User) -> None:
    if not teams_led(user):
        raise NotAllowed("Waves are made by team leads. Ask one of them; reading needs no role.")


def require_lead_team(user: User, team: Team) -> None:
    """Raise `NotFound` for who is not in the team, `NotAllowed` for who does not lead it."""
    role = role_in(user, team.pk)
    if role is None:
        raise NotFound("There is no such team among yours.")
    if role is not Role.LEAD:
        raise NotAllowed(f"Only a lead of {team} may plan its waves. Ask one of them.")


def require_lead(user: User, wave: Wave) -> None:
    """Raise `NotFound` where the person may not see the wave, `NotAllowed` for who does not lead
    its team."""
    if role_in(user, wave.team_id) is Role.LEAD:
        return
    if not Wave.objects.visible_to(user).filter(pk=wave.pk).exists():
        raise NotFound("There is no such wave among those that you may see.")
    raise NotAllowed(f"Only a lead of {wave.team} may change this wave. Ask one of them.")


def require_lead_services(user: User, services: Sequence[Service]) -> None:
    """Raise `NotAllowed` for a service of a team that the person does not lead: a date is promised
    for it."""
    led = {team.pk for team in teams_led(user)}
    others = [service for service in services if service.team_id not in led]
    if others:
        raise NotAllowed(
            f"{others[0]} belongs to {others[0].team}, which you do not lead. Ask one of its "
            "leads, or a platform owner."
        )
