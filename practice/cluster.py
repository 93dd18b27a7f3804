"""Speaking to the range's cluster as its owner, through kubectl of the same build."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Sequence
from typing import Any

from practice.plan import API_PORT, Node, Plan
from practice.system import CommandError, RangeError, run, wait_until

Object = dict[str, Any]
OWNER = "belay-practice"
"""Field manager of everything that the range itself applies."""


def kubectl(plan: Plan, argv: Sequence[str], *, stdin: str | None = None,
            timeout: float = 60.0) -> str:  # fmt: skip
    """Run kubectl with the owner's credentials and return what it printed.

    It speaks to an API server that says that it is ready, past the proxy: what the range does
    for its owner must not share the proxy's weakness.
    """
    program = str(plan.dir / "bin" / "kubectl")
    base = [program, f"--kubeconfig={plan.admin_kubeconfig}", "--request-timeout=30s"]
    ready = next((node for node in plan.control_plane_nodes if api_ready(node)), None)
    if ready is not None:
        base.append(f"--server={ready.api_server}")
    return run([*base, *argv], stdin=stdin, timeout=timeout)


def apply(plan: Plan, objects: Sequence[Object]) -> None:
    """Server-side apply; retried for a minute, because a young API server may still refuse."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    argv = ["apply", "--server-side", "--force-conflicts", f"--field-manager={OWNER}", "-f", "-"]
    last: list[CommandError] = []

    def applied() -> bool:
        try:
            kubectl(plan, argv, stdin=text, timeout=90)
        except CommandError as error:
            last[:] = [error]
            return False
        return True

    try:
        wait_until(applied, timeout=90, what="objects applied", every=2.0)
    except RangeError as error:
        raise last[0] if last else error from None


def get(plan: Plan, *argv: str) -> Object:
    """An object, or a list of them, as JSON."""
    return dict(json.loads(kubectl(plan, ["get", *argv, "-o", "json"])))


def is_rolled_out(plan: Plan, namespace: str, kind: str, name: str) -> bool:
    """Whether every wanted pod of a Deployment or DaemonSet is new and ready."""
    try:
        item = get(plan, kind, name, "-n", namespace)
    except CommandError:
        return False
    status, spec = item.get("status", {}), item["spec"]
    if status.get("observedGeneration", 0) < item["metadata"]["generation"]:
        return False
    if kind == "daemonset":
        wanted = status.get("desiredNumberScheduled", 0)
        updated, ready = status.get("updatedNumberScheduled", 0), status.get("numberReady", 0)
        return bool(wanted) and updated == wanted == ready
    wanted = spec.get("replicas", 1)
    updated, ready = status.get("updatedReplicas", 0), status.get("readyReplicas", 0)
    return bool(updated == wanted and ready == wanted)


def wait_rolled_out(plan: Plan, namespace: str, kind: str, name: str, *, timeout: float) -> None:
    """Wait until it is rolled out; the error names what its pods are waiting for."""
    try:
        wait_until(
            lambda: is_rolled_out(plan, namespace, kind, name),
            timeout=timeout, what=f"{kind} {namespace}/{name} ready", every=1.0,
        )  # fmt: skip
    except RangeError as error:
        said = kubectl(plan, ["get", "pods", "-n", namespace, "-o", "wide"])
        raise RangeError(f"{error}\n{said}") from None


def wait_for_api(node: Node, *, timeout: float) -> None:
    """Wait until the node's own API server says that it is ready."""
    wait_until(
        lambda: api_ready(node), timeout=timeout, what=f"API server of {node.name} ready", every=0.5
    )


def api_ready(node: Node) -> bool:
    """Whether the node's own API server answers /readyz with 200, on a fresh connection."""
    authority = node.root / "etc/kubernetes/pki/ca.crt"
    if not authority.exists():
        return False
    context = ssl.create_default_context(cafile=str(authority))
    link = http.client.HTTPSConnection(node.address, API_PORT, timeout=5, context=context)
    try:
        link.request("GET", "/readyz")
        return link.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()
