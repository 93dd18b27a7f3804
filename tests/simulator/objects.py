"""The cluster's API objects: what they were, who acts on them, and who reaches their API.

The store answers as an API server does (`tests.object_store`). Here are the controllers behind it,
the people in front of it, and the wire: away, silent, late, or shut to a run's account.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from core.errors import ClusterUnreachable
from core.kube import Answer, Credentials
from guard.kube import JSON, Access, ApiAnswer
from tests.object_store import OWNER, ObjectStore

if TYPE_CHECKING:
    from tests.simulator.kernel import Kernel
    from tests.simulator.machine import Machine

Json = dict[str, Any]
SERVER = "https://10.0.0.1:6443"
CA_PEM = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
CALL_S = 0.004
OBSERVED_S = 0.6
"""Until a controller has acted on a change."""
POD_BACK_S = 3.0
_DEPLOYMENT = "/apis/apps/v1/namespaces/{}/deployments/{}"
PRICES = _DEPLOYMENT.format("shop", "prices")
REGISTRY = _DEPLOYMENT.format("registry", "registry")
CONTOUR = _DEPLOYMENT.format("projectcontour", "contour")
COREDNS = _DEPLOYMENT.format("kube-system", "coredns")
CONFIG = "/api/v1/namespaces/shop/configmaps/prices"
ROUTE = "/apis/projectcontour.io/v1/namespaces/shop/httpproxies/shop"
NODE = "/api/v1/nodes/qa-2"
PODS = "/api/v1/namespaces/shop/pods/"
CORDON = "/apis/rbac.authorization.k8s.io/v1/clusterroles/belay-cordon-qa-2"
_ACCOUNTS = ("/serviceaccounts/", "/roles/", "/rolebindings/", "/clusterrolebindings/")
_THEIRS: dict[str, Json] = {
    "deployments": {
        "spec": {
            "replicas": 7,
            "template": {
                "spec": {
                    "containers": [
                        {"name": "app", "image": "theirs:1", "env": [{"name": "A", "value": "9"}]}
                    ]
                }
            },
        }
    },
    "configmaps": {"data": {"prices.json": "theirs"}},
    "httpproxies": {"spec": {"routes": [{"services": [{"name": "theirs", "port": 80}]}]}},
    "nodes": {"spec": {"unschedulable": True}},
}
"""What a person makes of each kind of object, by its plural."""


@dataclass
class ObjectEffect:
    """An object is as a guard made it: from when to when."""

    node: str
    order_id: str
    path: str
    since: float
    until: float | None = None


@dataclass(frozen=True)
class Writer:
    """Who sent the request that is being answered."""

    machine: Machine
    order_id: str


class Objects:
    def __init__(self, kernel: Kernel, api_works: Callable[[], bool]) -> None:
        self.kernel = kernel
        self.store = ObjectStore()
        self.revoked_until = 0.0
        """Until then a run's account is refused."""
        self.revoked_as = 403
        self.away_until = 0.0
        self.faults: deque[tuple[str, float]] = deque()
        """For the next writes of guards: `lose-answer` or `late`, and seconds."""
        self.effects: list[ObjectEffect] = []
        self.late: list[int] = []
        """How changes that arrived late were answered."""
        self.unserved: list[float] = []
        """When a guard's request got no good answer: what it undoes may then take longer."""
        self.edited: set[str] = set()
        """Paths where a person's own content stands: not ours to restore."""
        self._works = api_works
        self._writer: Writer | None = None
        self._pods: dict[str, Json] = {}
        self._made = 0
        self._fill()
        self.original = {
            path: copy.deepcopy(content(found))
            for path, found in self.store.objects.items()
            if not path.startswith(PODS)
        }
        self._before = dict(self.original)
        self.store.on_change = self._changed

    def _fill(self) -> None:
        for path in (PRICES, REGISTRY, CONTOUR, COREDNS):
            self.store.put(path, _deployment(path.rsplit("/", 1)[1]))
        self.store.put(CONFIG, {"data": {"prices.json": "{}"}})
        routes = [{"services": [{"name": "shop", "port": 80}]}]
        self.store.put(ROUTE, {"spec": {"virtualhost": {"fqdn": "shop.local"}, "routes": routes}})
        self.store.put(NODE, {"spec": {"podCIDR": "10.244.1.0/24"}})
        for node in ("qa-2", "qa-3"):
            path = f"{PODS}prices-{node}"
            self._pods[path] = copy.deepcopy(self.store.put(path, _pod(node)))
        verbs: Json = {"resources": ["nodes"], "verbs": ["get", "patch"], "apiGroups": [""]}
        self.store.put(CORDON, {"rules": [verbs | {"resourceNames": ["qa-2"]}]})

    # -- what is there ----------------------------------------------------------------------------

    @property
    def away(self) -> bool:
        return self.kernel.now < self.away_until

    def left(self) -> list[str]:
        """What is not as it was before anybody broke anything: objects, pods, accounts."""
        found = self.store.objects
        return [
            *(
                f"{path} is now {content(found.get(path, {}))}"
                for path, was in self.original.items()
                if path not in self.edited and content(found.get(path, {})) != was
            ),
            *(f"{path} is there" for path in self.accounts()),
        ]

    def accounts(self) -> list[str]:
        """Everything that was made for accounts of runs."""
        return [
            path
            for path in self.store.objects
            if path not in self.original and any(part in path for part in _ACCOUNTS)
        ]

    def pods(self) -> list[Json]:
        return [found for path, found in self.store.objects.items() if path.startswith(PODS)]

    # -- what people and other programs do --------------------------------------------------------

    def edit(self, path: str) -> None:
        """Somebody else makes something of their own of it."""
        plural = path.split("/")[-2]
        if plural in _THEIRS:
            self.edited.add(path)
            self.store.edit(path, _THEIRS[plural])

    def touch(self, path: str) -> None:
        """Somebody else writes what the fault has nothing to do with: its version moves."""
        self._made += 1
        self.store.edit(path, {"metadata": {"labels": {"touched": str(self._made)}}})

    def put_back(self, path: str) -> None:
        """Somebody (a person, GitOps) makes it what it was."""
        self.edited.discard(path)
        now = self.store.objects[path]
        new = {key: copy.deepcopy(value) for key, value in now.items() if key not in _CONTENT}
        was = self.original[path]
        self.store.write(path, new | copy.deepcopy({k: v for k, v in was.items() if v is not None}))

    # -- requests ---------------------------------------------------------------------------------

    def ask(
        self, method: str, path: str, token: str, body: Any, content_type: str
    ) -> tuple[int, Json]:
        """One request that has arrived. OSError where no API server answers."""
        if not self._works() or self.away:
            raise ConnectionRefusedError("no API server answers")
        if token != OWNER and self.kernel.now < self.revoked_until:
            return self.revoked_as, {"message": "revoked"}
        status, answer = self.store.answer(method, path, token, body, content_type)
        return status, copy.deepcopy(answer)

    def engine_asks(
        self, credentials: Credentials, method: str, path: str, body: object, content_type: str
    ) -> Answer:
        try:
            status, answer = self.ask(method, path, credentials.token, body, content_type)
        except OSError as error:
            raise ClusterUnreachable(str(error)) from error
        return _Told(status, answer)

    def guard_asks(
        self, writer: Writer | None, send: Callable[[], tuple[int, Json]], within_s: float
    ) -> tuple[int, Json]:
        """A guard's request, with what breaks on its way. `writer`: None where it only looks."""
        writes = writer is not None

        def arrive() -> tuple[int, Json]:
            before, self._writer = self._writer, writer
            try:
                return send()
            finally:
                self._writer = before

        kind, seconds = self.faults.popleft() if writes and self.faults else ("", 0.0)
        self.kernel.sleep(CALL_S)
        if kind == "late":
            self.kernel.after(seconds, lambda: self.late.append(_status(arrive)))
        try:
            answer = arrive() if kind != "late" else (0, {})
        except OSError:
            self.unserved.append(self.kernel.now)
            raise
        if kind:
            self.unserved.append(self.kernel.now)
            self.kernel.sleep(within_s)
            raise TimeoutError("no answer")
        if answer[0] >= 400:
            self.unserved.append(self.kernel.now)
        self.kernel.sleep(CALL_S)
        return answer

    # -- controllers ------------------------------------------------------------------------------

    def _changed(self, path: str) -> None:
        found = self.store.objects.get(path)
        if path in self._before:
            self._note(path, content(found or {}))
        if "/deployments/" in path and found is not None:
            status = found.get("status") or {}
            if status.get("observedGeneration") != found["metadata"]["generation"]:
                self.kernel.after(OBSERVED_S, lambda: self._roll_out(path))
        if path.startswith(PODS) and found is None and path in self._pods:
            if self._writer is not None:
                self._strike(f"end {path}")
            self.kernel.after(POD_BACK_S, lambda: self._make_anew(self._pods.pop(path)))

    def _note(self, path: str, now: Json) -> None:
        before = self._before[path]
        if now == before:
            return
        self._before[path] = now
        for effect in self.effects:
            if effect.path == path and effect.until is None:
                effect.until = self.kernel.now
        if self._writer is not None and before == self.original[path]:
            self._strike(f"change {path}")
            node, order_id = self._writer.machine.name, self._writer.order_id
            self.effects.append(ObjectEffect(node, order_id, path, self.kernel.now))

    def _strike(self, what: str) -> None:
        assert self._writer is not None
        self._writer.machine.strike(what, None, self._writer.order_id)

    def _roll_out(self, path: str) -> None:
        found = self.store.objects[path]
        wanted = found["spec"].get("replicas", 1)
        containers = found["spec"]["template"]["spec"]["containers"]
        status = dict.fromkeys(
            ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), wanted
        )
        if "belay" in str(containers):  # the new pods never become ready; the old ones serve
            status |= {"replicas": wanted + 1, "updatedReplicas": 1}
        status["observedGeneration"] = found["metadata"]["generation"]
        self.store.edit(path, {"status": status})

    def _make_anew(self, pod: Json) -> None:
        self._made += 1
        new = copy.deepcopy(pod)
        new["metadata"].pop("uid")
        cordoned = self.store.objects[NODE]["spec"].get("unschedulable")
        new["spec"]["nodeName"] = "qa-3" if cordoned else pod["spec"]["nodeName"]
        path = f"{PODS}prices-{self._made}"
        self._pods[path] = copy.deepcopy(self.store.put(path, new))


class GuardApi:
    """`guard.kube.ObjectApi` of one node's guard."""

    def __init__(self, objects: Objects, machine: Machine) -> None:
        self._objects = objects
        self._machine = machine

    def call(
        self,
        access: Access,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        content_type: str = JSON,
        within_s: float = 2.0,
    ) -> ApiAnswer:
        writes = method != "GET" and "dryRun" not in path and "dryRun" not in str(body)
        writer = Writer(self._machine, self._machine.order_now()) if writes else None

        def send() -> tuple[int, Json]:
            return self._objects.ask(method, path, access.token, body, content_type)

        status, answer = self._objects.guard_asks(writer, send, within_s)
        return ApiAnswer(status=status, body=answer)


class _Told(Answer):
    """An answer whose body needs no decoding."""

    def __init__(self, status: int, told: Json) -> None:
        super().__init__(status, b"", 1.0)
        object.__setattr__(self, "_told", told)

    def json(self) -> Any:
        told: Any = self.__dict__["_told"]
        return told


_CONTENT = ("spec", "data", "rules")


def content(found: Json) -> Json:
    """What an object says, without who it is and how it is getting on."""
    return {key: found.get(key) for key in _CONTENT}


def _status(arrive: Callable[[], tuple[int, Json]]) -> int:
    """Of a request that nobody waits for any more; 0: not even a server answered."""
    try:
        return arrive()[0]
    except OSError:
        return 0


def _deployment(name: str) -> Json:
    container = {"name": "app", "image": f"{name}:1", "env": [{"name": "A", "value": "1"}]}
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    return {
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {"spec": {"containers": [container]}},
        },
        "status": {"observedGeneration": 1} | dict.fromkeys(counts, 2),
    }


def _pod(node: str) -> Json:
    owner = {"kind": "ReplicaSet", "name": "prices", "uid": "prices-set", "controller": True}
    return {
        "metadata": {"labels": {"app": "prices"}, "ownerReferences": [owner]},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def verb_of(method: str, path: str) -> str:
    """How an engine's request is called among its steps: `patch deployments`."""
    parts = urlsplit(path).path.strip("/").split("/")
    plurals = ("namespaces", "deployments", "configmaps", "httpproxies", "nodes", "pods")
    more = ("serviceaccounts", "roles", "rolebindings", "clusterrolebindings", "token")
    named = [part for part in parts if part in (*plurals[1:], *more)]
    return f"{method.lower()} {named[-1] if named else parts[-1]}"
