"""`manage.py guard install|uninstall|rotate|adopt|status CLUSTER`, `guard render|pin NODE`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from core.errors import DomainError
from core.management.asking import cluster_called, platform_owner, read_input
from core.models import Cluster, Node, User
from gamedays.models import Guard
from gamedays.operations import guard_upkeep, guards


class Command(BaseCommand):
    help = "Put a guard on every control-plane node, look at them, or take them off again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--as", dest="actor", help="user name of a platform owner")
        verbs = parser.add_subparsers(dest="verb", required=True)
        for verb, text in (
            ("install", "install or update through one short privileged pod per node"),
            ("uninstall", "remove; refused while an order is live"),
            ("rotate", "new keys and a new authority: what leaked before opens nothing any more"),
        ):
            command = verbs.add_parser(verb, help=text)
            command.add_argument("cluster")
            command.add_argument(
                "--kubeconfig",
                type=Path,
                required=True,
                help="the owner's kubeconfig: used once, never stored",
            )
            command.add_argument("--image", help="default: the image that is installed already")
        adopt = verbs.add_parser(
            "adopt", help="after a restored backup: undo orphans, then raise the epoch"
        )
        adopt.add_argument("cluster")
        status = verbs.add_parser("status", help="ask every guard")
        status.add_argument("cluster")
        render = verbs.add_parser("render", help="print policy and static-pod manifest of a node")
        render.add_argument("node", help="NODE, or CLUSTER/NODE where several have one")
        render.add_argument("--image", required=True)
        pin = verbs.add_parser("pin", help="store the certificate of a rendered guard")
        pin.add_argument("node")
        pin.add_argument("--certificate", type=Path, required=True)
        pin.add_argument("--image", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        actor = platform_owner(options["actor"])
        try:
            getattr(self, f"_{options['verb']}")(actor, options)
        except DomainError as error:
            raise CommandError(f"{error.message} ({error.code})") from error

    def _install(self, actor: User, options: dict[str, Any]) -> None:
        cluster = cluster_called(options["cluster"])
        installed = guards.install_guards(
            actor=actor,
            cluster=cluster,
            owner_kubeconfig=read_input(options["kubeconfig"]),
            image=_image(cluster, options["image"]),
        )
        for guard in installed:
            self.stdout.write(f"{guard.node.name}: guard {guard.version} answers")

    def _rotate(self, actor: User, options: dict[str, Any]) -> None:
        cluster = cluster_called(options["cluster"])
        rotated = guard_upkeep.rotate_guards(
            actor=actor,
            cluster=cluster,
            owner_kubeconfig=read_input(options["kubeconfig"]),
            image=_image(cluster, options["image"]),
        )
        for guard in rotated:
            self.stdout.write(f"{guard.node.name}: guard {guard.version} answers with new keys")

    def _adopt(self, actor: User, options: dict[str, Any]) -> None:
        cluster = cluster_called(options["cluster"])
        epoch = guard_upkeep.adopt_guards(actor=actor, cluster=cluster)
        self.stdout.write(f"{cluster.name}: nothing is live on its guards; epoch {epoch}.")

    def _uninstall(self, actor: User, options: dict[str, Any]) -> None:
        cluster = cluster_called(options["cluster"])
        guards.uninstall_guards(
            actor=actor,
            cluster=cluster,
            owner_kubeconfig=read_input(options["kubeconfig"]),
            image=_image(cluster, options["image"]),
        )
        self.stdout.write(f"{cluster.name} has no guards any more.")

    def _status(self, actor: User, options: dict[str, Any]) -> None:
        views = guards.ask_guards(actor=actor, cluster=cluster_called(options["cluster"]))
        if not views:
            self.stdout.write("No guard is installed.")
        for view in views:
            hello = view.hello
            order = (
                f"order {hello.order.order_id} {hello.order.phase}"
                if (hello and hello.order)
                else "nothing live"
            )
            said = f"{hello.version}, epoch {hello.epoch}, {order}" if hello else view.error
            self.stdout.write(f"{view.guard.node.name}: {said}")

    def _render(self, actor: User, options: dict[str, Any]) -> None:
        policy = json.dumps(guards.plan_guard(actor=actor, node=_node(options["node"])))
        self.stdout.write(
            "# On the node: put the guard's image there, then as root\n"
            "#   mkdir -m 0700 /var/lib/belay-guard; save the first document as\n"
            "#   /var/lib/belay-guard/policy.json (0600); run `python3 -m guard keygen` from the\n"
            "#   image; save the second document as /etc/kubernetes/manifests/belay-guard.yaml.\n"
            "# Then here: manage.py guard pin NODE --certificate FILE --image IMAGE\n"
        )
        self.stdout.write(policy)
        self.stdout.write("---")
        # The guard renders its own manifest, as it does on a node: one place knows its rights.
        words = ["-m", "guard", "render", "--policy", policy, "--image", options["image"]]
        rendered = subprocess.run(
            [sys.executable, *words],
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        if rendered.returncode != 0:
            raise CommandError(rendered.stderr)
        self.stdout.write(rendered.stdout)

    def _pin(self, actor: User, options: dict[str, Any]) -> None:
        guard = guards.pin_guard(
            actor=actor,
            node=_node(options["node"]),
            certificate_pem=read_input(options["certificate"]),
            image=options["image"],
        )
        self.stdout.write(f"{guard} is pinned.")


def _node(text: str) -> Node:
    cluster, _, name = text.rpartition("/")
    nodes = Node.objects.filter(name=name, cluster__retired_at=None)
    if cluster:
        nodes = nodes.filter(cluster__name=cluster)
    found = list(nodes[:2])
    if len(found) != 1:
        raise CommandError(
            f"{'Several nodes are' if found else 'No node is'} called {name!r}: write CLUSTER/NODE."
        )
    return found[0]


def _image(cluster: Cluster, given: str | None) -> str:
    if given:
        return given
    installed = Guard.objects.filter(node__cluster=cluster).first()
    if installed is None:
        raise CommandError("--image is needed: no guard is installed yet.")
    return installed.image
