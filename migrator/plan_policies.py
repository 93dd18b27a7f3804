"""Who may do what to a plan: the people of the service's team. Deny unless allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.choices import Role
from core.errors import Conflict, NotAllowed, NotFound
from core.models import Cluster, Membership
from core.policies import role_in

if TYPE_CHECKING:
    from core.models import User
    from migrator.models import Plan, Service

_RUNNERS = (Role.LEAD, Role.ENGINEER)


def may_run(user: User, plan: Plan) -> bool:
    return role_in(user, plan.service.team_id) in _RUNNERS


def may_lead(user: User, plan: Plan) -> bool:
    return role_in(user, plan.service.team_id) is Role.LEAD


def require_see(user: User, plan: Plan) -> None:
    """Raise `NotFound`: to an outsider a foreign plan does not exist."""
    if role_in(user, plan.service.team_id) is None:
        raise NotFound("There is no such plan among those that you may see.")


def require_run(user: User, plan: Plan) -> None:
    require_see(user, plan)
    if not may_run(user, plan):
        raise NotAllowed(
            f"Only leads and engineers of {plan.service.team} may do this. As a viewer you may "
            "watch, and turn a step round while it is watched."
        )
    _require_current(plan)


def require_lead(user: User, plan: Plan, verb: str) -> None:
    """`verb` is what was asked for, such as "sign an override"."""
    require_leads(user, plan, verb)
    _require_current(plan)


def require_leads(user: User, plan: Plan, verb: str) -> None:
    """As `require_lead`, of a plan that may be archived and a cluster that may be gone, too."""
    require_see(user, plan)
    if not may_lead(user, plan):
        raise NotAllowed(f"Only a lead of {plan.service.team} may {verb}. Ask one of them.")


def may_plan(user: User, service: Service) -> bool:
    return role_in(user, service.team_id) is Role.LEAD


def require_plan_for(user: User, service: Service, cluster: Cluster) -> None:
    """Whoever makes a plan leads the service's team and sees the cluster."""
    role = role_in(user, service.team_id)
    if role is None:
        raise NotFound("There is no such service among those that you may see.")
    if role is not Role.LEAD:
        raise NotAllowed(f"Only a lead of {service.team} may make its plans. Ask one of them.")
    if not Cluster.objects.visible_to(user).active().filter(pk=cluster.pk).exists():
        raise NotFound("There is no such cluster among those that you may see.")


def leads_any_team(user: User) -> bool:
    """Templates belong to everybody; a lead of any team writes them."""
    if not user.is_active:
        return False
    return user.is_superuser or Membership.objects.filter(user=user, role=Role.LEAD).exists()


def require_template_author(user: User) -> None:
    if not leads_any_team(user):
        raise NotAllowed("Templates are written by team leads. Ask one of them.")


def _require_current(plan: Plan) -> None:
    if plan.archived_at is not None:
        raise Conflict(
            f"The plan “{plan}” was archived; its history stays readable. Make a new one.",
            code="plan_archived",
        )
    if plan.cluster.retired_at is not None:
        raise Conflict(
            f"{plan.cluster} was retired: the cluster is gone. Archive this plan.",
            code="cluster_retired",
        )
