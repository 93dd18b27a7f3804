"""`belay panic BUNDLE`: undo everything on every guard, with one file and the network.

It needs no database, no broker, no configuration and no Kubernetes API: the guards alone are
asked, all of them at once, until each says that nothing is live on it. Run it as often as you like.
"""

from __future__ import annotations

import argparse
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from gamedays.drivers.bundle_file import Bundle, BundleError, GuardEntry, is_private, read_bundle
from gamedays.drivers.guard_client import GuardClient, GuardError, GuardRefused
from guard.protocol import Code, OrderReport, Phase

WAIT_S = 150.0
"""A kubelet may need two minutes to bring an API server back; what is asked goes on without us."""
AGAIN_S = 1.0
CALL_S = 3.0
ON_THE_NODE = "crictl exec $(crictl ps -q --name guard) python3 -m guard undo-all"
OK, LEFT, UNUSABLE = 0, 1, 2
_NOTHING = "nothing is live."


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one node. `clean` is True only where its guard said so."""

    node: str
    clean: bool
    sentence: str


def undo_everything(
    bundle: Bundle,
    *,
    wait_s: float = WAIT_S,
    look_only: bool = False,
    say: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Every guard in parallel; one that is silent keeps nothing from the others.

    `say` is told of each node as soon as it is decided.
    """
    until = time.monotonic() + wait_s
    outcomes = []
    with ThreadPoolExecutor(max(1, len(bundle.guards)), "panic") as pool:
        asked = [pool.submit(_one, entry, until, look_only) for entry in bundle.guards]
        for done in as_completed(asked):
            outcomes.append(done.result())
            if say:
                say(outcomes[-1])
    return sorted(outcomes, key=lambda outcome: outcome.node)


def main(words: Sequence[str]) -> int:
    """The command; the exit code is 0 only when every guard says that nothing is live."""
    parser = argparse.ArgumentParser(
        prog="belay panic",
        description="Undo everything on every guard of a cluster. Needs neither database nor "
        "Redis. Exit code 0: every guard says that nothing is live; 1: not; 2: no usable bundle.",
    )
    parser.add_argument("bundle", type=Path, help="the file that `belay cluster bundle` made")
    parser.add_argument(
        "--wait", type=float, default=WAIT_S, metavar="SECONDS", help="default: %(default)g"
    )
    parser.add_argument("--look", action="store_true", help="only say what is live; undo nothing")
    given = parser.parse_args(words)
    try:
        bundle = read_bundle(given.bundle)
    except BundleError as error:
        return _unusable(str(error))
    if not bundle.guards:
        return _unusable(f"{given.bundle} names no guard.")
    if not is_private(given.bundle):
        print(f"Others can read {given.bundle}: chmod 600 it.", file=sys.stderr)
    print(f"{bundle.cluster} (UID {bundle.cluster_uid}), bundle of {bundle.made_at}", flush=True)
    outcomes = undo_everything(bundle, wait_s=given.wait, look_only=given.look, say=_print)
    left = [outcome.node for outcome in outcomes if not outcome.clean]
    if left:
        print(f"NOT CLEAN: {', '.join(left)}. On such a node, as root:\n  {ON_THE_NODE}")
        return LEFT
    print("Nothing is live on any guard.")
    return OK


def _one(entry: GuardEntry, until: float, look_only: bool) -> Outcome:
    try:
        client = GuardClient(
            node=entry.node,
            address=entry.address,
            port=entry.port,
            pin_pem=entry.pin_pem,
            certificate_pem=entry.undo_certificate_pem,
            key_pem=entry.undo_key_pem,
            timeout_s=CALL_S,
        )
    except (ValueError, ssl.SSLError) as error:
        text = f"the bundle's key for it cannot be used ({error}); make a new bundle."
        return Outcome(node=entry.node, clean=False, sentence=text)
    node = _Node(entry.node, client)
    while True:
        outcome, decided = node.look() if look_only else node.undo()
        left_s = until - time.monotonic()
        if decided or left_s <= 0:
            return outcome
        time.sleep(min(AGAIN_S, left_s))


class _Node:
    """One guard, and the order that it was told to undo: the undo is answered before it is done."""

    def __init__(self, name: str, client: GuardClient) -> None:
        self._name = name
        self._client = client
        self._told: OrderReport | None = None

    def look(self) -> tuple[Outcome, bool]:
        try:
            order = self._client.hello().order
        except GuardError as error:
            return self._is(False, f"{error}."), True
        live = order is not None and order.phase is not Phase.UNDONE
        return self._is(not live, f"{_named(order)} is live." if order and live else _NOTHING), True

    def undo(self) -> tuple[Outcome, bool]:
        """What the guard says, and whether asking it again could change that."""
        try:
            order = self._told or self._client.hello().order
            if order is None or order.phase is Phase.UNDONE:
                return self._is(True, _NOTHING), True
            self._told = order
            report = self._client.undo(order.order_id)
        except GuardError as error:
            # Who is not let in today will not be let in within the next minutes either.
            barred = isinstance(error, GuardRefused) and error.code is Code.FORBIDDEN
            return self._is(False, f"{error}."), barred
        if report.phase is Phase.UNDONE:
            return self._is(True, f"{_named(order)} is undone."), True
        why = f": {report.detail}" if report.detail else ""
        tried = f"{_named(order)} is {report.phase} after {report.undo_attempts} attempts{why}."
        return self._is(False, tried), False

    def _is(self, clean: bool, sentence: str) -> Outcome:
        return Outcome(node=self._name, clean=clean, sentence=sentence)


def _named(order: OrderReport) -> str:
    fault = order.fault
    what = (
        f"{fault.kind} of {fault.component}"
        if fault and fault.component
        else (str(fault.kind) if fault else "an unknown fault")
    )
    return f"{what} (order {order.order_id})"


def _print(outcome: Outcome) -> None:
    print(f"{outcome.node}: {outcome.sentence}", flush=True)


def _unusable(sentence: str) -> int:
    print(f"belay panic: {sentence}", file=sys.stderr)
    return UNUSABLE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
