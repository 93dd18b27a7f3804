"""The guard's command line: `python3 -m guard run|install|uninstall|render|undo-all|…`.

Modules are imported where they are used: the liveness probe starts this every few seconds.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from guard.policy import Paths

EXIT_CONFIG = 78
EXIT_AGAIN = 75
STALL_S = 10.0
UNSERVED_UNDO_S = 6.0
"""Less than STALL_S: the parent takes a worker that shows no life for one that is stuck."""


def main(arguments: list[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    if given == ["run"]:
        # As the static pod does: nothing to read, and nothing to keep for as long as it runs.
        from guard.parent import Parent

        return Parent([], STALL_S).run()
    asked = _parser().parse_args(given)
    run = {
        "run": _run,
        "work": _work,
        "healthz": _healthz,
        "install": _install,
        "uninstall": _uninstall,
        "render": _render,
        "keygen": _keygen,
        "undo-all": _ask,
        "keep-manifest": _ask,
        "status": _status,
    }[asked.command]
    return run(asked)


def _parser() -> argparse.ArgumentParser:
    import argparse
    from pathlib import Path

    parser = argparse.ArgumentParser(prog="python3 -m guard", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        for option, default in (
            ("kubernetes", "/etc/kubernetes"),
            ("state", "/var/lib/belay-guard"),
            ("run", "/run/belay-guard"),
            ("proc", "/proc"),
        ):
            command.add_argument(
                f"--{option}", type=Path, default=Path(default), metavar="DIR", dest=f"{option}_dir"
            )
        return command

    run = add("run", "Serve this node: the parent, which keeps a worker running.")
    run.add_argument(
        "--stall",
        type=float,
        default=STALL_S,
        metavar="SECONDS",
        help="a worker that shows no life for so long is ended and started again",
    )
    add("work", "One worker; started by the parent.").add_argument("--pipe", type=int)
    add("healthz", "Exit 0 when the worker's undo loop shows life.")
    for name, text in (
        ("install", "Make the key, write the policy, and start the guard through the kubelet."),
        ("render", "Print the static-pod manifest for a policy."),
    ):
        command = add(name, text)
        command.add_argument("--policy", required=True, help="the policy as JSON")
        command.add_argument("--image", required=True)
        command.add_argument(
            "--fresh-key", action="store_true", help="make another key, also where one lies"
        )
    add("uninstall", "Remove the guard from this node.").add_argument("--installation", default="")
    add("keygen", "Make the guard's key and certificate if they are not there.")
    for name, text in (
        ("undo-all", "Undo whatever is live on this node; needs no network and no key."),
        ("keep-manifest", "Accept the manifest that somebody put there; ends a stuck order."),
    ):
        add(name, text).add_argument("--timeout", type=float, default=120.0, metavar="SECONDS")
    add("status", "Print the live or last order of this node as JSON.")
    return parser


def _run(asked: argparse.Namespace) -> int:
    from guard.parent import Parent

    options = ("kubernetes", "state", "run", "proc")
    words = [word for name in options for word in (f"--{name}", str(getattr(asked, f"{name}_dir")))]
    return Parent(words, asked.stall).run()


def _work(asked: argparse.Namespace) -> int:
    import ssl

    from guard.policy import PolicyError
    from guard.worker import Worker

    try:
        worker = Worker(_paths(asked), asked.pipe)
    except (PolicyError, ssl.SSLError, FileNotFoundError) as error:
        _undo_without_serving(_paths(asked))
        return _fail(f"this guard cannot serve: {error}", EXIT_CONFIG)
    except Exception as error:  # noqa: BLE001  what is live must be undone all the same
        # No room for a heartbeat, a file that cannot be read. It may pass: the parent tries again.
        _undo_without_serving(_paths(asked))
        return _fail(f"this guard cannot serve now: {error!r}", EXIT_AGAIN)
    worker.run()
    return 0


def _undo_without_serving(paths: Paths) -> None:
    """Nobody can renew at a guard that cannot serve, so what is live is undone now.

    Bounded: the kubelet starts us again, and the undo goes on from the journal.
    """
    from guard.local import Ask, ask_and_wait

    if not paths.state.is_dir():
        return
    try:
        ask_and_wait(paths, Ask.UNDO_ALL, UNSERVED_UNDO_S)
    except (TimeoutError, OSError) as error:
        print(str(error), file=sys.stderr, flush=True)


def _healthz(asked: argparse.Namespace) -> int:
    from guard.heartbeat import STALE_S, age_s

    age = age_s(asked.run_dir / "heartbeat")
    if age is None or not 0 <= age <= STALE_S:
        return _fail(f"the undo loop's last sign of life: {age} s ago (limit {STALE_S:.0f} s)", 1)
    return 0


def _install(asked: argparse.Namespace) -> int:
    from guard.install import InstallError, install, said
    from guard.policy import PolicyError, parse_policy
    from guard.protocol import INSTALL_FAILED, INSTALLED

    try:
        policy = parse_policy(asked.policy, where="--policy")
        certificate = install(_paths(asked), policy, asked.image, fresh_key=asked.fresh_key)
    except (InstallError, PolicyError, OSError) as error:
        print(said(INSTALL_FAILED, error=str(error)), flush=True)
        return 1
    print(said(INSTALLED, certificate=certificate), flush=True)
    return 0


def _uninstall(asked: argparse.Namespace) -> int:
    from guard.install import InstallError, said, uninstall
    from guard.policy import PolicyError, load_policy
    from guard.protocol import INSTALL_FAILED, UNINSTALLED

    paths = _paths(asked)
    try:
        installation = asked.installation
        if not installation and paths.policy.exists():
            # On the node itself, by root: the policy's own word will do.
            installation = load_policy(paths.policy).installation
        uninstall(paths, installation)
    except (InstallError, PolicyError, OSError) as error:
        print(said(INSTALL_FAILED, error=str(error)), flush=True)
        return 1
    print(said(UNINSTALLED), flush=True)
    return 0


def _render(asked: argparse.Namespace) -> int:
    from guard.policy import PolicyError, parse_policy
    from guard.static_pod import manifest_text

    try:
        policy = parse_policy(asked.policy, where="--policy")
    except PolicyError as error:
        return _fail(str(error), 2)
    print(manifest_text(policy, asked.image), end="")
    return 0


def _keygen(asked: argparse.Namespace) -> int:
    from guard.install import InstallError, make_key

    paths = _paths(asked)
    try:
        paths.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (paths.key.exists() and paths.certificate.exists()):
            make_key(paths)
    except (InstallError, OSError) as error:
        return _fail(str(error), 1)
    print(paths.certificate.read_text(encoding="ascii"), end="")
    return 0


def _ask(asked: argparse.Namespace) -> int:
    from guard.local import Ask, ask_and_wait
    from guard.policy import PolicyError

    try:
        order = ask_and_wait(_paths(asked), Ask(asked.command), asked.timeout)
    except (PolicyError, TimeoutError, OSError) as error:
        return _fail(str(error), 1)
    print("nothing was ever armed here" if order is None else f"{order.order_id}: {order.phase}")
    return 0


def _status(asked: argparse.Namespace) -> int:
    import json

    from guard.disk import NodeDisk
    from guard.journal import Journal
    from guard.protocol import to_json

    memory = Journal(NodeDisk(), _paths(asked).state).load()
    report = None if memory.order is None else to_json(memory.order.report())
    print(json.dumps({"order": report, "damage": memory.damage}, indent=2))
    return 0


def _paths(asked: argparse.Namespace) -> Paths:
    from guard.policy import Paths

    return Paths(
        kubernetes=asked.kubernetes_dir,
        state=asked.state_dir,
        run=asked.run_dir,
        proc=asked.proc_dir,
    )


def _fail(text: str, status: int) -> int:
    print(text, file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
