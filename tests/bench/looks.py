"""How the effect of a fault is seen from outside: the same look for both ways to make it.

Nothing here asks Belay or a guard. Every `bitten_at` and `restored_at` returns the moment on
`time.monotonic` at which it was so, and raises AssertionError when it was not so in time.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from gamedays.scenarios.plan import Endpoint
from practice import cgroups, cluster
from practice.plan import Node, Plan
from tests.bench.holds import Deaths
from tests.bench.owner import Owner
from tests.stack.running import wait_until

WITHIN_S = 240.0
_BAD_FLAG = "--belay-unknown"
"""In whatever flag a guard or the bare script makes up."""
SILENCE_S = 1.0
"""A dropped packet shows only as silence: so long a connection is waited for, as a guard does."""
Json = dict[str, Any]


class Look(Protocol):
    def begin(self) -> None:
        """Note how it is just before the fault."""

    def bitten_at(self) -> float: ...
    def restored_at(self) -> float: ...


class Processes:
    """A static pod's component on some nodes: dead, and running again without the bad flag."""

    def __init__(self, nodes: Sequence[Node], component: str) -> None:
        self._nodes, self._component = nodes, component
        self._before: set[int] = set()

    def begin(self) -> None:
        self._before = {pid for node in self._nodes for pid in pids_of(node, self._component)}
        assert self._before, f"no process of {self._component} runs"
        self._deaths = Deaths(self._before)

    def bitten_at(self) -> float:
        return self._deaths.all_gone_at(WITHIN_S)

    def restored_at(self) -> float:
        return _when(lambda: all(map(self._is_back, self._nodes)), f"{self._component} is back")

    def _is_back(self, node: Node) -> bool:
        fresh = [
            pid
            for pid in pids_of(node, self._component)
            if pid not in self._before and _BAD_FLAG not in _words(pid)
        ]
        serves = self._component not in ("etcd", "kube-apiserver") or cluster.api_ready(node)
        return bool(fresh) and serves


class Kernels:
    """Endpoints that every node's kernel drops: listed there, and silent from this machine."""

    def __init__(self, plan: Plan, endpoints: Sequence[Endpoint]) -> None:
        self._plan, self._endpoints = plan, endpoints

    def begin(self) -> None:
        self._reachable = [one for one in self._endpoints if _answers(one, 0.2)]
        assert self._reachable, "none of the endpoints can be reached from this machine"

    def bitten_at(self) -> float:
        _when(lambda: self._listed(everywhere=True), "every kernel drops it")
        return _when(lambda: not self._all_answer(SILENCE_S), "no packet comes back")

    def restored_at(self) -> float:
        return _when(
            lambda: not self._listed(everywhere=False) and self._all_answer(0.2),
            "no kernel drops it",
        )

    def _all_answer(self, within_s: float) -> bool:
        with ThreadPoolExecutor(len(self._reachable)) as pool:
            return all(pool.map(lambda one: _answers(one, within_s), self._reachable))

    def _listed(self, *, everywhere: bool) -> bool:
        with ThreadPoolExecutor(len(self._plan.nodes)) as pool:
            found = list(pool.map(_ruleset, self._plan.nodes))
        listed = [
            f"{one.address} . {one.port}" in text for text in found for one in self._endpoints
        ]
        return all(listed) if everywhere else any(listed)


class Scaled:
    """A Deployment without an available pod, and with as many as before."""

    def __init__(self, owner: Owner, path: str) -> None:
        self._owner, self._path, self._available = owner, path, 0

    def begin(self) -> None:
        self._available = _available(self._owner.get(self._path))
        assert self._available, f"{self._path} has no available pod"

    def bitten_at(self) -> float:
        return _when(lambda: not _available(self._owner.get(self._path)), "no pod is available")

    def restored_at(self) -> float:
        def back() -> bool:
            found = self._owner.get(self._path)
            return _rolled_out(found) and _available(found) == self._available

        return _when(back, "as many pods as before are available")


class RolledOut:
    """A Deployment whose wrong template the cluster has taken up, and given up again."""

    def __init__(self, owner: Owner, path: str) -> None:
        self._owner, self._path, self._generation = owner, path, 0

    def begin(self) -> None:
        found = self._owner.get(self._path)
        assert _rolled_out(found), f"{self._path} is in the middle of a rollout"
        self._generation = found["metadata"]["generation"]

    def bitten_at(self) -> float:
        def taken_up() -> bool:
            status = self._owner.get(self._path)["status"]
            return bool(
                status.get("observedGeneration", 0) > self._generation
                and status.get("unavailableReplicas", 0)
            )

        return _when(taken_up, "the wrong template is rolled out")

    def restored_at(self) -> float:
        return _when(lambda: _rolled_out(self._owner.get(self._path)), "it is rolled out")


class Field:
    """A field of an object that is another, and as before."""

    def __init__(self, owner: Owner, path: str, read: Callable[[Json], object]) -> None:
        self._owner, self._path, self._read, self._before = owner, path, read, object()

    def begin(self) -> None:
        self._before = self._read(self._owner.get(self._path))

    def bitten_at(self) -> float:
        return _when(lambda: self._now() != self._before, f"{self._path} is changed")

    def restored_at(self) -> float:
        return _when(lambda: self._now() == self._before, f"{self._path} is as before")

    def _now(self) -> object:
        return self._read(self._owner.get(self._path))


class Route:
    """Requests of one host through Envoy: refused by it, and answered."""

    def __init__(self, plan: Plan, host: str) -> None:
        self._url, self._host = plan.shop_url, host

    def begin(self) -> None:
        assert self._status() == 200, f"{self._host} does not answer"

    def bitten_at(self) -> float:
        return _when(lambda: self._status() in (404, 503), f"{self._host} is not served")

    def restored_at(self) -> float:
        return _when(lambda: self._status() == 200, f"{self._host} is served")

    def _status(self) -> int:
        place = self._url.removeprefix("http://").rstrip("/")
        link = http.client.HTTPConnection(place, timeout=2)
        try:
            link.request("GET", "/", headers={"Host": self._host})
            return link.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            link.close()


class Drained:
    """A node that takes no pods and has none that could move; and one that takes them again."""

    def __init__(self, owner: Owner, node: str, movable: Callable[[], list[Json]]) -> None:
        self._owner, self._path, self._movable = owner, f"/api/v1/nodes/{node}", movable

    def begin(self) -> None:
        assert not self._closed(), f"{self._path} takes no pods"
        assert self._movable(), f"{self._path} has no pod that could move"

    def bitten_at(self) -> float:
        return _when(lambda: self._closed() and not self._movable(), "the node is drained")

    def restored_at(self) -> float:
        return _when(lambda: not self._closed(), "the node takes pods again")

    def _closed(self) -> bool:
        return bool(self._owner.get(self._path)["spec"].get("unschedulable"))


def pids_of(node: Node, component: str) -> list[int]:
    """Pids, as this machine sees them, of a component's living processes on one node."""
    found = []
    for pid in cgroups.processes(cgroups.bases()[0] / node.cgroup):
        words = _words(pid)
        if words and Path(words.split("\0")[0]).name == component:
            found.append(pid)
    return found


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _ruleset(node: Node) -> str:
    """The node's own tables; kube-proxy's are of other families."""
    words = ["nsenter", f"--net=/run/netns/{node.netns}", "nft", "list", "ruleset", "inet"]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout


def _answers(place: Endpoint, within_s: float) -> bool:
    """Whether a fresh connection is taken within `within_s`."""
    try:
        socket.create_connection((place.address, place.port), timeout=within_s).close()
    except OSError:
        return False
    return True


def _available(deployment: Json) -> int:
    return int(deployment["status"].get("availableReplicas", 0))


def _rolled_out(deployment: Json) -> bool:
    status, wanted = deployment["status"], deployment["spec"]["replicas"]
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    ) and all(
        status.get(which, 0) == wanted
        for which in ("replicas", "updatedReplicas", "availableReplicas")
    )


def _when(so: Callable[[], bool], what: str) -> float:
    wait_until(so, within_s=WITHIN_S, what=what, every_s=0.02)
    return time.monotonic()
