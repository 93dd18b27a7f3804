"""`manage.py people team|add|role|leave|list`: for platform owners, from a shell."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.choices import Role
from core.errors import DomainError
from core.management.asking import platform_owner, read_input, team_called
from core.models import Team, User
from core.operations import people

NO_ROLE = "none"


class Command(BaseCommand):
    help = "Make a team, let people in, and say what each may do. Passwords: changepassword."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--as", dest="actor", help="user name of a platform owner")
        verbs = parser.add_subparsers(dest="verb", required=True)
        team = verbs.add_parser("team", help="make a team")
        team.add_argument("name")
        add = verbs.add_parser("add", help="let a person log in, with a role in a team")
        add.add_argument("username")
        add.add_argument("--team", required=True)
        add.add_argument("--role", choices=Role.values, required=True)
        add.add_argument("--first-name", default="")
        add.add_argument("--last-name", default="")
        add.add_argument(
            "--password-file", type=Path, help="file with the password; without it you are asked"
        )
        role = verbs.add_parser("role", help="change what a person may do in a team")
        role.add_argument("username")
        role.add_argument("role", choices=[*Role.values, NO_ROLE])
        role.add_argument("--team", required=True)
        leave = verbs.add_parser("leave", help="a person is gone: they can do nothing any more")
        leave.add_argument("username")
        verbs.add_parser("list", help="every team with its people")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['verb']}")(platform_owner(options["actor"]), options)
        except DomainError as error:
            raise CommandError(f"{error.message} ({error.code})") from error

    def _team(self, actor: User, options: dict[str, Any]) -> None:
        team = people.create_team(actor=actor, name=options["name"])
        self.stdout.write(f"The team {team} is there. Next: people add USERNAME --team …")

    def _add(self, actor: User, options: dict[str, Any]) -> None:
        team = team_called(options["team"])
        person = people.add_person(
            actor=actor,
            username=options["username"],
            password=_password(options["password_file"]),
            first_name=options["first_name"],
            last_name=options["last_name"],
        )
        people.set_role(actor=actor, person=person, team=team, role=Role(options["role"]))
        self.stdout.write(f"{person} can log in as {person.username}: {options['role']}, {team}.")

    def _role(self, actor: User, options: dict[str, Any]) -> None:
        person, team = _person(options["username"]), team_called(options["team"])
        role = None if options["role"] == NO_ROLE else Role(options["role"])
        people.set_role(actor=actor, person=person, team=team, role=role)
        self.stdout.write(f"{person} has the role {options['role']} in {team}.")

    def _leave(self, actor: User, options: dict[str, Any]) -> None:
        person = _person(options["username"])
        people.end_access(actor=actor, person=person)
        self.stdout.write(f"{person} can do nothing any more; what they did keeps their name.")

    def _list(self, _actor: User, _options: dict[str, Any]) -> None:
        for team in Team.objects.prefetch_related("memberships__user"):
            here = [each for each in team.memberships.all() if each.user.is_active]
            who = ", ".join(f"{each.user.username} ({each.role})" for each in here)
            self.stdout.write(f"{team}: {who or 'nobody yet'}")


def _person(username: str) -> User:
    person = User.objects.filter(username=username).first()
    if person is None:
        raise CommandError(f"Nobody has the user name {username!r}; `people list` shows them.")
    return person


def _password(file: Path | None) -> str:
    if file is not None:
        return read_input(file).rstrip("\n")
    password = getpass.getpass("Password of the new person: ")
    if getpass.getpass("The same again: ") != password:
        raise CommandError("The two are not the same. Nobody was added.")
    return password
