"""What the engine asks of a cluster's API: the marker, readiness, canaries, pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubernetes import client as k8s
from urllib3.exceptions import HTTPError

from core import kube
from core.errors import ClusterUnreachable
from core.qa_marker import require_marker
from gamedays.drivers.canary import CanaryMismatchError, write_and_read_canary
from gamedays.drivers.objects import Objects
from gamedays.drivers.reach import reached
from gamedays.drivers.run_account import RunAccounts
from gamedays.drivers.services import service_endpoints
from gamedays.scenarios.plan import Endpoint, ObjectFault, ObjectTarget
from guard.protocol import Credential

if TYPE_CHECKING:
    import uuid

_MIRROR = "kubernetes.io/config.mirror"
_LIST_TIMEOUT_S = 3.0


@dataclass(frozen=True, kw_only=True)
class PodSighting:
    """One pod as somebody saw it. Guards know UIDs and nodes only."""

    uid: str
    node: str
    namespace: str = ""
    name: str = ""
    phase: str = ""
    ready: bool | None = None
    restarts: int | None = None
    reason: str = ""
    mirror_uid: str = ""
    """For a mirror pod: the static pod's own UID, which the node's cgroups carry."""


class ClusterDriver:
    """`ClusterPort` of the step functions, on a registered cluster. Needs no database."""

    def __init__(
        self, *, uid: uuid.UUID, credentials: kube.Credentials, api_servers: Mapping[str, str]
    ) -> None:
        self.uid = uid
        self.control_plane = sorted(api_servers)
        self._credentials = credentials
        self._api_servers = api_servers
        self._objects = Objects(credentials)
        self._accounts = RunAccounts(credentials, api_servers)

    def require_marker(self) -> None:
        require_marker(self._credentials, uid=self.uid, names=self.control_plane)

    def canary(self, node: str) -> str:
        try:
            write_and_read_canary(self._credentials, writer=node, server=self._api_servers[node])
        except (ClusterUnreachable, CanaryMismatchError) as error:
            return str(error)
        return ""

    def readyz(self, node: str | None) -> str:
        server = self._api_servers[node] if node else None
        try:
            answer = kube.fresh_request(self._credentials, "GET", "/readyz", server=server)
        except ClusterUnreachable as error:
            return error.message
        return "" if answer.status == 200 else f"status {answer.status}"

    def service_endpoints(self, namespace: str, name: str) -> tuple[Endpoint, ...]:
        return service_endpoints(self._credentials, namespace, name)

    def reached(self, endpoints: Iterable[Endpoint]) -> frozenset[Endpoint]:
        return reached(endpoints)

    def read_target(self, fault: ObjectFault) -> tuple[ObjectTarget, ...]:
        return self._objects.read_target(fault)

    def fingerprint(self, targets: Iterable[ObjectTarget]) -> dict[str, dict[str, Any]]:
        return self._objects.fingerprint(targets)

    def ready_like(self, namespace: str, owner_uid: str) -> int:
        return self._objects.ready_like(namespace, owner_uid)

    def require_mintable(self, targets: Iterable[ObjectTarget]) -> None:
        self._accounts.require_mintable(targets)

    def mint(self, order_id: str, targets: Iterable[ObjectTarget], lives_s: int) -> Credential:
        return self._accounts.mint(order_id, targets, lives_s)

    def end_pod(self, order_id: str, target: ObjectTarget) -> None:
        self._accounts.end_pod(order_id, target)

    def unmint(self, order_id: str) -> None:
        self._accounts.unmint(order_id)

    def list_pods(self) -> tuple[PodSighting, ...]:
        """Every pod of the cluster, asked through the common address, then one server after the
        other; `ConnectionError` when none answers."""
        for server in (None, *self._api_servers.values()):
            try:
                with kube.typed(self._credentials, server=server, read_s=_LIST_TIMEOUT_S) as api:
                    pods = k8s.CoreV1Api(api).list_pod_for_all_namespaces()
            except (k8s.ApiException, HTTPError, OSError):
                continue
            return tuple(_sighting(pod) for pod in pods.items)
        raise ConnectionError("no API server listed the pods")


def _sighting(pod: Any) -> PodSighting:
    statuses = pod.status.container_statuses or []
    ready = next(
        (c.status == "True" for c in pod.status.conditions or [] if c.type == "Ready"), None
    )
    phase = pod.status.phase or ""
    if phase == "Succeeded":
        ready = None  # finished work is neither ready nor lost
    return PodSighting(
        uid=pod.metadata.uid,
        node=pod.spec.node_name or "",
        namespace=pod.metadata.namespace,
        name=pod.metadata.name,
        phase="Terminating" if pod.metadata.deletion_timestamp else phase,
        ready=ready,
        restarts=sum(status.restart_count for status in statuses),
        reason=pod.status.reason or _waiting(statuses),
        mirror_uid=(pod.metadata.annotations or {}).get(_MIRROR, ""),
    )


def _waiting(statuses: list[Any]) -> str:
    for status in statuses:
        if status.state and status.state.waiting:
            return status.state.waiting.reason or ""
    return ""
