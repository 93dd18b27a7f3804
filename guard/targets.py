"""What a fault can be, and what it can be aimed at: enumerated words and bounded numbers.

Part of the protocol (`guard.protocol` hands all of it on); a file of its own for its size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

MAX_ENDPOINTS = 64
MAX_OBJECTS = 50


class FaultKind(StrEnum):
    """What a guard can do. Anything else is refused."""

    HOLD = "hold"
    """Move the static pod's manifest away, then SIGKILL; the undo moves the same bytes back."""
    KILL = "kill"
    """SIGKILL once; the kubelet starts the container again by itself."""
    FLAG = "flag"
    """Put a bad flag from the fixed list into a static pod's manifest, then SIGKILL."""
    CUT = "cut"
    """Drop the node's packets to named endpoints; the kernel itself ends it."""
    OBJECT = "object"
    """Change API objects with a credential minted for this order."""
    DRILL = "drill"
    """Harmless: a file in the guard's own state directory. Rehearses arm, expiry and undo."""


class Component(StrEnum):
    """The static-pod components that can be a target."""

    KUBE_APISERVER = "kube-apiserver"
    ETCD = "etcd"
    KUBE_SCHEDULER = "kube-scheduler"
    KUBE_CONTROLLER_MANAGER = "kube-controller-manager"


class BadFlag(StrEnum):
    """The fixed list of wrong flags; the guard alone knows component and text of each."""

    ETCD_ELSEWHERE = "etcd-elsewhere"
    """kube-apiserver looks for its etcd at a port where nothing listens."""
    UNKNOWN_APISERVER_FLAG = "unknown-apiserver-flag"
    UNKNOWN_SCHEDULER_FLAG = "unknown-scheduler-flag"
    UNKNOWN_CONTROLLER_MANAGER_FLAG = "unknown-controller-manager-flag"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A TCP endpoint that a node is cut off from."""

    address: str
    """An IPv4 or IPv6 literal; never loopback."""
    port: int
    """1..65535; never the guard's own, 6443, 2379 or 2380."""


class ObjectKind(StrEnum):
    """Kinds of API objects that can be a target. Secrets can never be."""

    DEPLOYMENT = "deployment"
    CONFIG_MAP = "config-map"
    HTTP_PROXY = "http-proxy"
    NODE = "node"
    POD = "pod"


class ObjectChange(StrEnum):
    """What is done to an object."""

    SCALE_TO_ZERO = "scale-to-zero"
    BAD_IMAGE = "bad-image"
    BAD_ENV = "bad-env"
    BAD_CONFIG = "bad-config"
    ROUTE_NOWHERE = "route-nowhere"
    ROUTE_INVALID = "route-invalid"
    CORDON = "cordon"
    EVICT = "evict"
    DELETE_POD = "delete-pod"


@dataclass(frozen=True, kw_only=True)
class ObjectTarget:
    kind: ObjectKind
    namespace: str = ""
    """Empty for what is not in a namespace: in a request it is then absent (`codec.compact`)."""
    name: str
    uid: str
    resource_version: str
    """What was seen at preflight; the change is conditional on it."""
    change: ObjectChange
    key: str = ""
    """The container's, the variable's or the ConfigMap key's name, where the change needs one."""


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A named account minted for one order, and how its API server is reached."""

    server: str
    """https:// address of an API server."""
    ca_pem: str
    token: str = field(repr=False)
    """Journalled in a 0600 file until the undo is done; never in a report, never in a log."""
    name: str
    expires_at: str
    """RFC 3339, for people."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault on one node: exactly what its kind needs is set, everything else is empty."""

    kind: FaultKind
    hold_s: int
    """Seconds from inject to the planned undo, HOLD_MIN_S..HOLD_MAX_S. For what happens once
    (`kill`, evictions) it bounds how long the order may stay live."""
    component: Component | None = None
    """`hold` and `kill`."""
    flag: BadFlag | None = None
    """`flag`."""
    endpoints: list[Endpoint] = field(default_factory=list)
    """`cut`: 1..MAX_ENDPOINTS."""
    objects: list[ObjectTarget] = field(default_factory=list)
    """`object`: 1..MAX_OBJECTS."""


class ObjectState(StrEnum):
    """How an object stands to the change."""

    BEFORE = "before"
    CHANGED = "changed"
    RESTORED = "restored"
    FOREIGN = "foreign"
    """Somebody else changed it meanwhile; it is left alone."""
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class ObjectReport:
    target: ObjectTarget
    before_sha256: str
    """SHA-256 of the fields that the change touches, as canonical JSON, at arming."""
    now_sha256: str = ""
    """The same fields when last looked at; empty: not looked at, or gone."""
    resource_version_now: str = ""
    state: ObjectState = ObjectState.BEFORE
    detail: str = ""
