"""Who may. Deny unless allowed: every verb asks here first, whoever calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.choices import Role
from core.errors import Conflict, NotAllowed, NotFound
from core.models import Cluster, Membership

if TYPE_CHECKING:
    from core.models import Team, User

_CAN_BOOK = (Role.LEAD,)
_CAN_RUN = (Role.LEAD, Role.ENGINEER)


def role_on(user: User, cluster: Cluster) -> Role | None:
    """The person's role in the cluster's team; None for an outsider."""
    return role_in(user, cluster.team_id)


def role_in(user: User, team_id: int) -> Role | None:
    """The person's role in that team; None for an outsider."""
    if not user.is_active:
        return None
    if user.is_superuser:
        return Role.LEAD
    role = (
        Membership.objects.filter(user_id=user.pk, team_id=team_id)
        .values_list("role", flat=True)
        .first()
    )
    return Role(role) if role else None


def may_keep_services(user: User, team: Team) -> bool:
    """Whether the person may write what the team's services are: its leads and engineers may."""
    return role_in(user, team.pk) in _CAN_RUN


def require_keep_services(user: User, team: Team) -> None:
    """Raise `NotFound` for who is not in the team, `NotAllowed` for who may only read."""
    if role_in(user, team.pk) is None:
        raise NotFound("There is no such team among yours.")
    if not may_keep_services(user, team):
        raise NotAllowed(
            f"Only leads and engineers of {team} may change its services. Ask one of them; as a "
            "viewer you may read."
        )


def require_keep_some_services(user: User) -> None:
    """Raise `NotAllowed` for who may write no team's services at all."""
    kept = Membership.objects.filter(user_id=user.pk, role__in=_CAN_RUN)
    if not (user.is_active and (user.is_superuser or kept.exists())):
        raise NotAllowed(
            "Services are written by leads and engineers of a team, and you are neither in any. "
            "Ask a platform owner for a role; reading needs none."
        )


def is_owner(user: User) -> bool:
    """A platform owner: registers clusters, installs guards, makes break-glass bundles."""
    return user.is_active and user.is_superuser


def require_owner(user: User, verb: str) -> None:
    """Raise `NotAllowed` for everybody else; `verb` is what was asked for, such as "retire
    clusters"."""
    if not is_owner(user):
        raise NotAllowed(f"Only a platform owner may {verb}.")


def may_see(user: User, cluster: Cluster) -> bool:
    return role_on(user, cluster) is not None


def may_book(user: User, cluster: Cluster) -> bool:
    return role_on(user, cluster) in _CAN_BOOK


def may_run(user: User, cluster: Cluster) -> bool:
    return role_on(user, cluster) in _CAN_RUN


def require_see(user: User, cluster: Cluster) -> None:
    """Raise `NotFound`: to an outsider a foreign cluster does not exist."""
    if not may_see(user, cluster):
        raise NotFound("There is no such cluster among those that you may see.")


def require_book(user: User, cluster: Cluster) -> None:
    require_see(user, cluster)
    _require_active(cluster)
    if not may_book(user, cluster):
        raise NotAllowed(
            f"Only a lead of {cluster.team} may book or cancel on {cluster}. Ask one of them."
        )


def require_run(user: User, cluster: Cluster) -> None:
    require_see(user, cluster)
    _require_active(cluster)
    if not may_run(user, cluster):
        raise NotAllowed(
            f"Only leads and engineers of {cluster.team} may do this on {cluster}. "
            "As a viewer you may watch, and abort."
        )


def may_stop(user: User) -> bool:
    """Whoever may abort something may stop everything: whoever sees a cluster."""
    return user.is_active and Cluster.objects.visible_to(user).active().exists()


def may_release(user: User) -> bool:
    """A lead of a team that has a cluster; a platform owner counts as one."""
    if not user.is_active:
        return False
    if user.is_superuser:
        return True
    led = Membership.objects.filter(user_id=user.pk, role=Role.LEAD)
    return Cluster.objects.active().filter(team__in=led.values("team")).exists()


def require_stop(user: User) -> None:
    if not may_stop(user):
        raise NotAllowed(
            "The emergency stop is set by who sees a cluster; you see none. Tell a team that "
            "has one."
        )


def require_release(user: User) -> None:
    if not may_release(user):
        raise NotAllowed(
            "Only a lead of a team with a cluster releases the emergency stop. Ask one of them."
        )


def _require_active(cluster: Cluster) -> None:
    if cluster.retired_at is not None:
        raise Conflict(
            f"{cluster.name} was retired: the cluster is gone. Its history stays readable.",
            code="cluster_retired",
        )
