"""Sample people and services for a first look; safe to load twice."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from core.choices import Role
from core.models import Cluster, Membership, Team, User
from migrator.models import Service


@dataclass(frozen=True)
class Login:
    username: str
    what: str


_PEOPLE = (
    ("lea", "Lea", "Lindqvist", Role.LEAD, "team lead: plans, books and starts"),
    ("erik", "Erik", "Osei", Role.ENGINEER, "engineer: starts, logs findings, fixes"),
    ("vera", "Vera", "Moreau", Role.VIEWER, "viewer: watches, and may abort"),
)


@transaction.atomic
def load_sample_data(*, password: str) -> list[Login]:
    """Make a team, its people and its services. `password` is set for all of them."""
    team, _ = Team.objects.get_or_create(
        slug="payments-platform", defaults={"name": "Payments platform"}
    )
    logins = []
    for username, first, last, role, what in _PEOPLE:
        user = _person(username, first, last, password)
        Membership.objects.update_or_create(user=user, team=team, defaults={"role": role})
        logins.append(Login(username, what))
    owner = _person("olga", "Olga", "Petrenko", password, superuser=True)
    logins.append(Login(owner.username, "platform owner: registers clusters, installs guards"))
    Service.objects.get_or_create(
        slug="shop",
        defaults={
            "name": "Shop",
            "team": team,
            "description": "Takes orders. Half of it still runs on the legacy machine.",
            "namespace": "shop",
            "workload": "shop",
            "route": "shop",
        },
    )
    return logins


def link_sample_service(*, cluster: Cluster, legacy_address: str) -> None:
    """Say where the sample service runs, once its cluster is there."""
    Service.objects.filter(slug="shop", cluster__isnull=True).update(
        cluster=cluster, legacy_address=legacy_address
    )


def sample_team() -> Team:
    return Team.objects.get(slug="payments-platform")


def _person(
    username: str, first: str, last: str, password: str, *, superuser: bool = False
) -> User:
    user, _ = User.objects.get_or_create(
        username=username,
        defaults={
            "first_name": first,
            "last_name": last,
            "email": f"{username}@example.org",
            "is_superuser": superuser,
            "is_staff": superuser,
        },
    )
    if not user.check_password(password):
        # A fresh hash would end every session of theirs, at each start of the stack.
        user.set_password(password)
        user.save(update_fields=["password"])
    return user
