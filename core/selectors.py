"""Reads of people, clusters and their raising, for pages and programs alike."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.db.models import Q, QuerySet

from core.choices import Role, SetupPhase, Stage
from core.errors import NotFound
from core.models import Cluster, ClusterSetup, EmergencyStop, Membership, Team, User

SAMPLE_PEOPLE = {
    "lea": "Team lead: books and starts",
    "erik": "Engineer: starts and fixes",
    "vera": "Viewer: watches, and may abort",
    "olga": "Platform owner: registers clusters",
}
"""Who the sample data brings, and what each may do."""


@dataclass(frozen=True, slots=True)
class SamplePerson:
    """A ready login of the sample data. Its password stands in the demo's terminal only."""

    username: str
    name: str
    what: str


def sample_people() -> list[SamplePerson]:
    """Ready logins. Empty on a real installation: there nobody is told who has an account."""
    if not settings.BELAY_EMBEDDED_DATABASE:
        return []
    users = User.objects.filter(username__in=SAMPLE_PEOPLE, is_active=True)
    known = {user.username: user for user in users}
    return [
        SamplePerson(username, str(known[username]), what)
        for username, what in SAMPLE_PEOPLE.items()
        if username in known
    ]


def memberships(user: User) -> QuerySet[Membership]:
    return user.memberships.select_related("team").order_by("team__name")


def teams_that_keep_services(user: User) -> QuerySet[Team]:
    """Teams whose services the person may write (see `policies.may_keep_services`)."""
    if not user.is_active:
        return Team.objects.none()
    if user.is_superuser:
        return Team.objects.order_by("name")
    kept = user.memberships.filter(role__in=(Role.LEAD, Role.ENGINEER))
    return Team.objects.filter(pk__in=kept.values("team")).order_by("name")


def roles_by_team(user: User) -> dict[int, Role]:
    """Team id to role, to judge many clusters with one query. See `role_in`."""
    return {
        team_id: Role(role) for team_id, role in user.memberships.values_list("team_id", "role")
    }


def role_in(user: User, roles: dict[int, Role], cluster: Cluster) -> Role | None:
    """What `policies.role_on` says, without a query of its own."""
    if not user.is_active:
        return None
    return Role.LEAD if user.is_superuser else roles.get(cluster.team_id)


def clusters(user: User) -> QuerySet[Cluster]:
    """Clusters that exist; the pages of retired ones are still found by their runs."""
    return Cluster.objects.visible_to(user).active().select_related("team").order_by("name")


def bookable_clusters(user: User) -> QuerySet[Cluster]:
    """QA clusters on which the person leads."""
    visible = clusters(user).filter(stage=Stage.QA)
    if user.is_superuser:
        return visible
    return visible.filter(
        team__in=Membership.objects.filter(user=user, role=Role.LEAD).values("team")
    )


def cluster_named(user: User, slug: str) -> Cluster:
    """The cluster of that slug. Raises `NotFound`, to outsiders too."""
    visible = Cluster.objects.visible_to(user).select_related("team")
    found = visible.filter(slug=slug).first()
    if found is None:
        raise NotFound(f"There is no cluster {slug!r} among those that you may see.")
    return found


def runners_of(cluster: Cluster) -> QuerySet[User]:
    """Active leads and engineers of the cluster's team, by name: who may run a fault there."""
    runners = Membership.objects.filter(team=cluster.team_id, role__in=(Role.LEAD, Role.ENGINEER))
    return User.objects.filter(pk__in=runners.values("user"), is_active=True).order_by(
        "first_name", "last_name", "username"
    )


def current_stop() -> EmergencyStop | None:
    """The emergency stop that is set now; it concerns everybody, and so everybody may read it.

    One query, on an index that holds at most one entry.
    """
    return EmergencyStop.objects.select_related("set_by").filter(released_at__isnull=True).first()


def newest_stops() -> QuerySet[EmergencyStop]:
    """Every stop that was released, the newest first."""
    ended = EmergencyStop.objects.filter(released_at__isnull=False)
    return ended.select_related("set_by", "released_by").order_by("-set_at", "-pk")


def setups_in_progress(user: User) -> list[ClusterSetup]:
    """Clusters that are being raised, or could not be. One that belongs to no team yet is this
    installation's own practice range, and everybody may watch it grow."""
    return list(
        ClusterSetup.objects.exclude(phase=SetupPhase.READY)
        .filter(Q(cluster=None) | Q(cluster__in=Cluster.objects.visible_to(user)))
        .order_by("name")
    )


def newest_arrival(user: User) -> Cluster | None:
    """The cluster that was raised last, of those that this person may see."""
    raised = ClusterSetup.objects.filter(phase=SetupPhase.READY)
    return clusters(user).filter(pk__in=raised.values("cluster")).order_by("-registered_at").first()
