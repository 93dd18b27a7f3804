"""What the commands of a platform owner ask of their arguments, with refusals in one sentence."""

from __future__ import annotations

from pathlib import Path

from django.core.management.base import CommandError

from core.models import Cluster, Team, User


def platform_owner(username: str | None) -> User:
    """The active platform owner of that name; without a name, the only one there is.

    Where there are several, none is guessed: what is done is written down under a name.
    """
    owners = User.objects.filter(is_superuser=True, is_active=True).order_by("username")
    if username:
        owners = owners.filter(username=username)
    found = list(owners)
    if not found:
        who = f"{username!r} is no active platform owner" if username else "There is none yet"
        raise CommandError(f"{who}: `manage.py createsuperuser` makes one.")
    if len(found) > 1:
        names = ", ".join(owner.username for owner in found)
        raise CommandError(f"There are several platform owners: say which you are, --as {names}.")
    return found[0]


def cluster_called(name: str) -> Cluster:
    """The registered cluster of that name; one that was retired has another name since."""
    cluster = Cluster.objects.active().filter(name=name).first()
    if cluster is None:
        known = ", ".join(Cluster.objects.active().values_list("name", flat=True))
        raise CommandError(f"There is no cluster {name!r}. Known are: {known or 'none'}.")
    return cluster


def team_called(name: str) -> Team:
    """The team of that name."""
    team = Team.objects.filter(name=name).first()
    if team is None:
        known = ", ".join(Team.objects.values_list("name", flat=True))
        raise CommandError(
            f"There is no team {name!r}. Known are: {known or 'none'}; `people team NAME` makes "
            "another."
        )
    return team


def read_input(path: Path) -> str:
    """A text file that was named on the command line."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} is no text file.") from error
