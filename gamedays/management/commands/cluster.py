"""`manage.py cluster register|retire`: for platform owners, from a shell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.text import slugify

from core.choices import Stage
from core.errors import DomainError
from core.models import Cluster, Team, User
from core.operations.clusters import register_cluster
from gamedays.operations.clusters import retire_cluster
from gamedays.operations.probes import UserProbe, create_standard_probes


class Command(BaseCommand):
    help = "Register a cluster of your own, or retire one that is gone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--as", dest="actor", help="user name of a platform owner")
        verbs = parser.add_subparsers(dest="verb", required=True)
        register = verbs.add_parser("register", help="look at it, check its marker, store it")
        register.add_argument("name")
        register.add_argument("--kubeconfig", type=Path, required=True)
        register.add_argument("--team", required=True, help="the team that may break it")
        register.add_argument("--stage", choices=Stage.values, default=Stage.QA.value)
        register.add_argument("--time-zone", default="UTC")
        register.add_argument(
            "--probe",
            action="append",
            required=True,
            metavar="TITLE=URL",
            help="an address that a user would feel; may be given several times",
        )
        retire = verbs.add_parser("retire", help="the cluster exists no more")
        retire.add_argument("name")
        retire.add_argument("--reason", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["verb"] == "register":
                self._register(options)
            else:
                cluster = Cluster.objects.filter(name=options["name"]).first()
                if cluster is None:
                    raise CommandError(f"There is no cluster {options['name']!r}.")
                retire_cluster(
                    actor=_owner(options["actor"]), cluster=cluster, reason=options["reason"]
                )
                self.stdout.write(f"{options['name']} is retired; its history stays readable.")
        except DomainError as error:
            raise CommandError(f"{error.message} ({error.code})") from error

    def _register(self, options: dict[str, Any]) -> None:
        actor = _owner(options["actor"])
        team = Team.objects.filter(name=options["team"]).first()
        if team is None:
            known = ", ".join(Team.objects.values_list("name", flat=True))
            raise CommandError(f"There is no team {options['team']!r}. Known are: {known}.")
        cluster = register_cluster(
            actor=actor,
            name=options["name"],
            stage=Stage(options["stage"]),
            team=team,
            kubeconfig=options["kubeconfig"].read_text(encoding="utf-8"),
            time_zone=options["time_zone"],
        )
        create_standard_probes(
            actor=actor, cluster=cluster, users=[_probe(text) for text in options["probe"]]
        )
        self.stdout.write(
            f"{cluster.name} is registered (UID {cluster.uid}, {cluster.kubernetes_version}). "
            f"Next: manage.py guard install {cluster.name} --kubeconfig OWNER_KUBECONFIG"
        )


def _owner(username: str | None) -> User:
    owners = User.objects.filter(is_superuser=True, is_active=True).order_by("pk")
    if username:
        owners = owners.filter(username=username)
    owner = owners.first()
    if owner is None:
        raise CommandError(
            "There is no such platform owner. `manage.py createsuperuser` makes one."
        )
    return owner


def _probe(text: str) -> UserProbe:
    title, separator, url = text.partition("=")
    if not separator or not url.startswith(("http://", "https://")):
        raise CommandError(f"--probe {text!r}: write TITLE=URL, like Shop=https://shop.example/")
    return UserProbe(key=slugify(title)[:60] or "users", title=title, url=url)
