"""Keeps pods away from nodes while the edge's control plane does not answer.

It runs in a pod of the range (`edge.py` puts it there), with the standard library alone. Every few
seconds it opens a connection to Contour. After three that failed it taints every node, so that
nothing is scheduled where no route would lead to; once Contour answers, the taint goes.

Environment: KEEPER_EFFECT, the taint's effect; CONTOUR_SERVICE_HOST and CONTOUR_SERVICE_PORT,
which the kubelet sets (names are no use here: the pods that resolve them may be away).
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import time
import urllib.request
from pathlib import Path
from typing import Any

Json = dict[str, Any]
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TAINT = "edge.qa.local/not-ready"
EVERY_S = 2.0
TIMEOUT_S = 2.0
FAILURES = 3
"""One failed connection is no outage."""


class Edge:
    """Whether the edge counts as away: after three failures in a row, until the first success."""

    def __init__(self) -> None:
        self._failed = 0

    def note(self, *, answered: bool) -> bool:
        """Note one attempt; whether the edge counts as away now."""
        self._failed = 0 if answered else self._failed + 1
        return self._failed >= FAILURES


def answers(host: str, port: int) -> bool:
    """Whether somebody accepts a connection there within TIMEOUT_S."""
    try:
        socket.create_connection((host, port), timeout=TIMEOUT_S).close()
    except OSError:
        return False
    return True


def taints_of(node: Json, *, away: bool, effect: str) -> list[Json] | None:
    """The taints that the node should have; None where it has just these. Others' taints stay."""
    now: list[Json] = node["spec"].get("taints") or []
    mine = [{"key": TAINT, "effect": effect}] if away else []
    # The API server adds `timeAdded` to a NoExecute taint: it is no difference.
    if [taint["effect"] for taint in now if taint["key"] == TAINT] == [t["effect"] for t in mine]:
        return None
    return [taint for taint in now if taint["key"] != TAINT] + mine


class Cluster:
    """The API server, spoken to with the pod's own account."""

    def __init__(self, server: str, account: Path) -> None:
        self._server, self._account = server, account

    def nodes(self) -> list[Json]:
        return list(self._ask("GET", "/api/v1/nodes")["items"])

    def set_taints(self, node: Json, taints: list[Json]) -> None:
        """Replace the node's taints. HTTPError 409 when somebody changed the node meanwhile."""
        patch = {
            "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
            "spec": {"taints": taints or None},
        }
        self._ask("PATCH", f"/api/v1/nodes/{node['metadata']['name']}", patch)

    def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        request = urllib.request.Request(  # noqa: S310  the cluster's own address
            f"{self._server}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                # Read every time: the kubelet renews it.
                "Authorization": f"Bearer {(self._account / 'token').read_text().strip()}",
                "Content-Type": "application/merge-patch+json",
            },
        )
        trust = ssl.create_default_context(cafile=str(self._account / "ca.crt"))
        with urllib.request.urlopen(request, timeout=5, context=trust) as answer:  # noqa: S310
            return dict(json.load(answer))


def settle(cluster: Cluster, *, away: bool, effect: str) -> None:
    """Give every node the taints that it should have; one that fails does not keep the others."""
    for node in cluster.nodes():
        taints = taints_of(node, away=away, effect=effect)
        if taints is None:
            continue
        name = node["metadata"]["name"]
        try:
            cluster.set_taints(node, taints)
        except OSError as error:  # HTTPError is one: looked at again in the next round
            print(f"{name}: {error}", flush=True)
        else:
            print(f"{name}: {'tainted, ' + effect if away else 'free again'}", flush=True)


def main() -> None:
    """Look every few seconds, for ever."""
    effect = os.environ["KEEPER_EFFECT"]
    contour = os.environ["CONTOUR_SERVICE_HOST"], int(os.environ["CONTOUR_SERVICE_PORT"])
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    cluster, edge = Cluster(f"https://{host}:{port}", ACCOUNT), Edge()
    print(f"watching {contour[0]}:{contour[1]}, effect {effect}", flush=True)
    while True:
        away = edge.note(answered=answers(*contour))
        try:
            settle(cluster, away=away, effect=effect)
        except (OSError, ValueError) as error:
            print(f"the API server does not answer: {error}", flush=True)
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
