"""`belay cluster onboard`: run by a QA cluster's owner, on the owner's machine, without Belay.

It looks, prints everything that it would make, asks, makes it, and leaves one file for Belay: a
kubeconfig of plain data, whose token is bound to an account with exactly the rights that it needs.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from core import kube
from core.errors import ClusterRefused, DomainError
from core.names import refuse_production_name
from core.onboarding.objects import Object, in_words, owners_objects, taking_back
from core.onboarding.owner import Facts, OwnersCluster, kubeconfig_for_belay
from core.onboarding.runs import LEAST_MINOR, run_objects
from core.onboarding.steps import step_objects
from core.qa_marker import require_marker

EFFECTIVE_S = 15.0
"""Every API server learns of new rights by itself, within a moment."""
TOKEN_DAYS = 365


def main(words: Sequence[str]) -> int:
    """The command; 0 when it is done, 1 when it was refused or declined."""
    given = _parser().parse_args(words)
    try:
        return _onboard(given)
    except DomainError as error:
        print(f"belay: {error.message} ({error.code})", file=sys.stderr)
        return 1


def _onboard(given: argparse.Namespace) -> int:
    refuse_production_name(given.name)
    owners = OwnersCluster.from_kubeconfig(given.kubeconfig, given.context)
    facts = owners.look()
    server = given.server or facts.server
    for name in (server.partition("://")[2].partition(":")[0], *facts.nodes):
        refuse_production_name(name)
    drained = facts.nodes if given.drains else []
    objects = owners_objects(str(facts.uid))
    objects += run_objects(namespaces=given.faults_in, nodes=drained)
    objects += step_objects(traffic_in=given.traffic_in, migrates_in=given.migrates_in)
    if given.faults_in or drained:
        _require_policies(facts)
    _tell(given.name, server, facts, objects)
    if given.print_only:
        print(yaml.safe_dump_all(objects, sort_keys=False))
        return 0
    if not given.yes and not _agrees(given.name):
        print("Nothing was made.")
        return 1
    for item in objects:
        owners.apply(item)
    token, ends = owners.token(given.token_days)
    config = kubeconfig_for_belay(
        name=given.name, server=server, ca_pem=owners.authority_pem(), token=token
    )
    text = yaml.safe_dump(config, sort_keys=False)
    _await_effect(text, facts)
    _write_private(given.out, text)
    _say_what_next(given.name, given.out, ends, objects)
    return 0


def _require_policies(facts: Facts) -> None:
    major, minor = (int(part) for part in re.findall(r"\d+", facts.version)[:2])
    if (major, minor) < (1, LEAST_MINOR):
        raise ClusterRefused(
            f"This cluster is Kubernetes {facts.version}. Faults on API objects need 1."
            f"{LEAST_MINOR}: before that no admission policy would keep the roles of runs narrow. "
            "Leave --faults-in and --drains away: faults on the control plane need neither.",
            code="kubernetes_too_old",
        )


def _tell(name: str, server: str, facts: Facts, objects: list[Object]) -> None:
    print(f"{name}: Kubernetes {facts.version} at {server}, UID {facts.uid}")
    print(f"  {len(facts.nodes)} nodes, of them control plane: {len(facts.control_plane)}")
    if not facts.control_plane:
        print("  Its control plane is out of reach: no guards, and so no scenario applies.")
    elif len(facts.control_plane) < 3:
        print("  Fewer than three control-plane nodes: no etcd member can be taken away.")
    print("\nThis says that faults are welcome on it, and gives Belay an account:\n")
    for line in in_words(objects):
        print(f"  {line}")
    print()


def _agrees(name: str) -> bool:
    try:
        return input(f"Type the cluster's name ({name}) to make these: ").strip() == name
    except EOFError:
        return False


def _await_effect(text: str, facts: Facts) -> None:
    """What Belay will ask before every fault is asked here first, with Belay's own credential."""
    credentials = kube.parse_kubeconfig(text)
    until = time.monotonic() + EFFECTIVE_S
    while True:
        try:
            require_marker(credentials, uid=facts.uid)
        except DomainError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)
        else:
            return


def _write_private(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).replace(path)


def _say_what_next(name: str, out: Path, ends: str, objects: list[Object]) -> None:
    quoted = shlex.quote(name)
    back = "\n".join(f"  {command}" for command in taking_back(objects))
    print(
        f"Done, and asked for with Belay's own account. {out} (0600) is for Belay; its token ends "
        f"{ends} and dies with the account.\n\n"
        "On the machine that Belay runs on, as a platform owner:\n"
        f"  belay cluster register {quoted} --kubeconfig {shlex.quote(out.name)} --team TEAM "
        "--probe TITLE=URL\n"
        f"  belay guard install {quoted} --kubeconfig OWNER_KUBECONFIG --image IMAGE\n\n"
        f"To take all of it back:\n{back}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="belay cluster onboard",
        description="Prepare a QA cluster for Belay, with its owner's kubeconfig, on its owner's "
        "machine. Prints what it makes before it makes it.",
    )
    parser.add_argument("name", help="what Belay shall call the cluster")
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        default=Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube/config"),
        help="the owner's; used here, never sent anywhere (default: kubectl's)",
    )
    parser.add_argument("--context", help="default: the current one")
    parser.add_argument("--server", help="the API's address as Belay reaches it, if another")
    parser.add_argument("--out", type=Path, default=Path("belay.kubeconfig"))
    parser.add_argument("--token-days", type=int, default=TOKEN_DAYS)
    parser.add_argument(
        "--faults-in",
        action="append",
        default=[],
        metavar="NAMESPACE",
        help="objects here may be targets (wrong configuration, pods killed, …); may be repeated",
    )
    parser.add_argument("--drains", action="store_true", help="nodes may be drained")
    parser.add_argument(
        "--traffic-in",
        action="append",
        default=[],
        metavar="NAMESPACE",
        help="migration steps may shift weights of HTTPProxies here; may be repeated",
    )
    parser.add_argument(
        "--migrates-in",
        action="append",
        default=[],
        metavar="NAMESPACE",
        help="migration steps may make, change and remove workloads here, too; may be repeated",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--print-only", action="store_true", help="print the manifests for kubectl; make nothing"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
