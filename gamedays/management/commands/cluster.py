"""`manage.py cluster register|add-probe|rotate-token|bundle|drill|retire`: for platform owners."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.text import slugify

from core.choices import Stage
from core.errors import DomainError
from core.management.asking import cluster_called, platform_owner, read_input, team_called
from core.operations.clusters import register_cluster, rotate_token
from gamedays.choices import ProbeKind
from gamedays.operations.bundle import drill_bundle, make_bundle
from gamedays.operations.clusters import retire_cluster
from gamedays.operations.probe_drafts import ProbeDraft
from gamedays.operations.probe_editing import create_probe
from gamedays.operations.probes import UserProbe, check_user_probes, create_standard_probes


class Command(BaseCommand):
    help = "Register a cluster of your own, keep it usable, or retire it when it is gone."

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
        add_probe = verbs.add_parser("add-probe", help="look at one more address that users feel")
        add_probe.add_argument("name")
        add_probe.add_argument("probe", metavar="TITLE=URL")
        rotate = verbs.add_parser("rotate-token", help="store a newer credential of the cluster")
        rotate.add_argument("name")
        rotate.add_argument("--kubeconfig", type=Path, required=True)
        for verb, text in (
            ("bundle", "write the break-glass file for `belay panic`, readable by you alone"),
            ("drill", "try that file for real, with a harmless order on every guard"),
        ):
            command = verbs.add_parser(verb, help=text)
            command.add_argument("name")
            command.add_argument("file", type=Path)
        retire = verbs.add_parser("retire", help="the cluster exists no more")
        retire.add_argument("name")
        retire.add_argument("--reason", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['verb'].replace('-', '_')}")(options)
        except DomainError as error:
            raise CommandError(f"{error.message} ({error.code})") from error

    def _retire(self, options: dict[str, Any]) -> None:
        actor, cluster = platform_owner(options["actor"]), cluster_called(options["name"])
        retire_cluster(actor=actor, cluster=cluster, reason=options["reason"])
        self.stdout.write(f"{options['name']} is retired; its history stays readable.")

    def _add_probe(self, options: dict[str, Any]) -> None:
        actor, cluster = platform_owner(options["actor"]), cluster_called(options["name"])
        user = _probe(options["probe"])
        draft = ProbeDraft(
            kind=ProbeKind.HTTP,
            title=user.title,
            parameters={"url": user.url},
            felt_by_users=True,
        )
        probe = create_probe(actor=actor, cluster=cluster, draft=draft)
        self.stdout.write(
            f"{cluster.name} has the probe {probe.key}. Other kinds, and trying one, are on the "
            "cluster's page."
        )

    def _rotate_token(self, options: dict[str, Any]) -> None:
        actor, cluster = platform_owner(options["actor"]), cluster_called(options["name"])
        rotate_token(actor=actor, cluster=cluster, kubeconfig=read_input(options["kubeconfig"]))
        self.stdout.write(
            f"{cluster.name} has a new credential. Take the old one out of use on the cluster."
        )

    def _bundle(self, options: dict[str, Any]) -> None:
        actor, cluster = platform_owner(options["actor"]), cluster_called(options["name"])
        made = make_bundle(actor=actor, cluster=cluster, path=options["file"])
        self.stdout.write(
            f"{options['file']} opens the undo on every guard ({len(made.guards)}), and nothing "
            "else. Keep it where you can reach it when Belay is gone, then try it: "
            f"belay cluster drill {cluster.name} {options['file']}"
        )

    def _drill(self, options: dict[str, Any]) -> None:
        actor, cluster = platform_owner(options["actor"]), cluster_called(options["name"])
        row = drill_bundle(actor=actor, cluster=cluster, path=options["file"])
        self.stdout.write(row.drill_said)
        if not row.drill_passed:
            raise CommandError("The drill did not pass: make a new bundle and drill that.")
        self.stdout.write("The drill passed: with this file alone everything was undone.")

    def _register(self, options: dict[str, Any]) -> None:
        actor = platform_owner(options["actor"])
        team = team_called(options["team"])
        users = [_probe(text) for text in options["probe"]]
        # First of all: a cluster without its probes could be neither used nor registered again.
        check_user_probes(users)
        cluster = register_cluster(
            actor=actor,
            name=options["name"],
            stage=Stage(options["stage"]),
            team=team,
            kubeconfig=read_input(options["kubeconfig"]),
            time_zone=options["time_zone"],
        )
        create_standard_probes(actor=actor, cluster=cluster, users=users)
        self.stdout.write(
            f"{cluster.name} is registered (UID {cluster.uid}, {cluster.kubernetes_version}). "
            f"Next: manage.py guard install {cluster.name} --kubeconfig OWNER_KUBECONFIG "
            "--image IMAGE"
        )


def _probe(text: str) -> UserProbe:
    title, separator, url = text.partition("=")
    if not separator or not url.startswith(("http://", "https://")):
        raise CommandError(f"--probe {text!r}: write TITLE=URL, like Shop=https://shop.example/")
    return UserProbe(key=slugify(title)[:60] or "users", title=title, url=url)
