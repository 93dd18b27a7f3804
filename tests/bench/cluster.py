"""Looking at the range's cluster from outside: is it whole again, and is the machine calm?"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from practice import cgroups, cluster
from practice.plan import API_PORT, Plan
from tests.bench.usage import busy_share
from tests.stack.running import wait_until

SETTLE_S = 300.0
CALM_SHARE = 0.5
CALM_WITHIN_S = 20.0
API_SERVER = "kube-apiserver"


def api_server_pids(plan: Plan) -> list[int]:
    """Pids, as this machine sees them, of the API servers of all nodes."""
    found = []
    for node in plan.nodes:
        for pid in cgroups.processes(cgroups.bases()[0] / node.cgroup):
            try:
                name = Path(f"/proc/{pid}/comm").read_text().strip()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if name == API_SERVER:
                found.append(pid)
    return found


def proxy_ready(plan: Plan, *, timeout_s: float = 1.0) -> bool:
    """Whether `/readyz` through the range's proxy answers 200, on a fresh connection."""
    link = http.client.HTTPSConnection(
        plan.gateway, API_PORT, timeout=timeout_s, context=_trust(plan)
    )
    try:
        link.request("GET", "/readyz")
        return link.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()


def await_settled(plan: Plan) -> float:
    """Wait until every component, node and pod is ready, then for a calm machine.

    Returns the machine's busy share at the end (0 to 1): a machine that others use may never
    be calm, and the reader of the figures should know.
    """
    await_whole(plan)
    give_up_at = time.monotonic() + CALM_WITHIN_S
    while True:
        share = busy_share(1.0)
        if share <= CALM_SHARE or time.monotonic() > give_up_at:
            return share


def await_whole(plan: Plan) -> None:
    """Wait until every component, node and pod is ready."""
    wait_until(lambda: _whole(plan), within_s=SETTLE_S, what="the cluster is whole", every_s=0.5)


def _whole(plan: Plan) -> bool:
    if len(api_server_pids(plan)) != len(plan.nodes) or not proxy_ready(plan):
        return False
    if not all(cluster.api_ready(node) for node in plan.nodes):
        return False
    nodes, pods = _list(plan, "/api/v1/nodes"), _list(plan, "/api/v1/pods")
    return bool(nodes and pods) and all(map(_is_ready, [*nodes, *pods]))


def _is_ready(item: dict[str, Any]) -> bool:
    status = item.get("status", {})
    if status.get("phase") == "Succeeded":
        return True
    conditions = {one["type"]: one["status"] for one in status.get("conditions", [])}
    return conditions.get("Ready") == "True"


def _list(plan: Plan, path: str) -> list[dict[str, Any]]:
    """Objects, read through the proxy with the range's own token; empty when that fails."""
    token = json.loads(plan.kubeconfig.read_text())["users"][0]["user"]["token"]
    link = http.client.HTTPSConnection(plan.gateway, API_PORT, timeout=5, context=_trust(plan))
    try:
        link.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = link.getresponse()
        return list(json.loads(answer.read())["items"]) if answer.status == 200 else []
    except (OSError, http.client.HTTPException, ValueError):
        return []
    finally:
        link.close()


@lru_cache
def _trust(plan: Plan) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(plan.ca_file))
