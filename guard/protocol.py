"""What Belay and a guard say to each other: shapes, bounds and words, and nothing else.

Standard library only: this one module is imported by both sides. Every message is a JSON
object over HTTPS with mutual TLS, `POST /v1/<verb>`; every answer is the JSON form of the
dataclass named beside the verb, or a `Refusal` with a 4xx status.

    verb     request          answer       freshness     may be repeated
    hello    {}               Hello        none          yes
    arm      ArmRequest       Armed        session, seq  no: answers the same for the same order
    inject   InjectRequest    OrderReport  session, seq  no: works once per order
    renew    RenewRequest     OrderReport  session, seq  yes
    undo     UndoRequest      OrderReport  none          yes, for ever
    status   {}               NodeStatus   none          yes

Durations are seconds on CLOCK_BOOTTIME of the node. Wall time is never compared: it appears in
answers (`*_at`, RFC 3339, UTC) only so that people can read it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from guard.codec import Json, MalformedError, compact, from_json, to_json
from guard.targets import (
    MAX_ENDPOINTS,
    MAX_OBJECTS,
    BadFlag,
    Component,
    Credential,
    Endpoint,
    Fault,
    FaultKind,
    ObjectChange,
    ObjectKind,
    ObjectReport,
    ObjectState,
    ObjectTarget,
)

PROTOCOL_VERSION = 2
"""2: faults `flag`, `cut`, `object` and `drill`; scheduler and controller manager. A guard of
version 2 undoes what one of version 1 armed, and is told `hold` and `kill` in the same words."""
DEFAULT_PORT = 9707
LEASE_S = 45.0
DEADLINE_MARGIN_S = 60.0
"""The hard deadline is the hold plus this margin, and can never be renewed."""
INJECT_WINDOW_S = 30.0
"""`inject` is refused when the order was armed longer ago than this."""
HOLD_MIN_S = 5
HOLD_MAX_S = 600
MAX_BODY_BYTES = 64 * 1024
STAGE_QA = "qa"
INSTALLED = "BELAY-GUARD-INSTALLED "
UNINSTALLED = "BELAY-GUARD-UNINSTALLED "
INSTALL_FAILED = "BELAY-GUARD-FAILED "
"""Each begins the one line that an installing pod logs for Belay; a JSON object follows."""
X509_V_FLAG_NO_CHECK_TIME = 0x200000
"""OpenSSL's flag for which the ssl module has no name. A node whose clock is wrong, or a
certificate that ran out during an outage, must not stand between anybody and an undo."""
ORDER_ID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")


class Phase(StrEnum):
    """Where an order stands on one node. `UNDONE` is terminal."""

    ARMED = "armed"
    INJECTING = "injecting"
    INJECTED = "injected"
    UNDOING = "undoing"
    UNDONE = "undone"
    STUCK = "stuck"
    """The undo did not succeed yet; the guard keeps trying for ever."""


class UndoReason(StrEnum):
    REQUESTED = "requested"
    LEASE = "lease"
    DEADLINE = "deadline"
    BOOT = "boot"
    LOCAL = "local"
    """`guard undo-all` was run on the node, or the guard was told to stop."""
    REVERTED = "reverted"
    """Somebody else put back what the fault had taken."""
    CRASH = "crash"
    """The guard could not finish what it began: restarted in mid-inject, or a step failed."""


class Code(StrEnum):
    """Stable codes of refusals; the text beside them is for people."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    FORBIDDEN = "forbidden"
    STALE_SESSION = "stale_session"
    STALE_SEQUENCE = "stale_sequence"
    OLD_EPOCH = "old_epoch"
    NOT_QA = "not_qa"
    OTHER_ORDER_LIVE = "other_order_live"
    UNKNOWN_ORDER = "unknown_order"
    TOMBSTONE = "tombstone"
    ALREADY_INJECTED = "already_injected"
    INJECT_TOO_LATE = "inject_too_late"
    UNKNOWN_FAULT = "unknown_fault"
    OUT_OF_BOUNDS = "out_of_bounds"
    TARGET_ABSENT = "target_absent"
    DISK = "disk"
    BUSY = "busy"
    INTERNAL = "internal"


@dataclass(frozen=True, kw_only=True)
class Boot:
    boot_id: str
    init_started_ticks: int
    """Start time of process 1 in clock ticks: nodes that share a machine share its boot id."""


@dataclass(frozen=True, kw_only=True)
class ProcessInfo:
    pid: int
    started_ticks: int
    """Field 22 of /proc/PID/stat: with the pid it names one process of one boot for certain."""
    container_id: str = ""


@dataclass(frozen=True, kw_only=True)
class ManifestInfo:
    path: str
    sha256: str
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class EtcdMember:
    member_id: str
    has_leader: bool
    is_leader: bool


@dataclass(frozen=True, kw_only=True)
class ComponentStatus:
    component: Component
    processes: list[ProcessInfo] = field(default_factory=list)
    manifest: ManifestInfo | None = None
    """None: no file of that name in the manifests directory."""
    healthy: bool | None = None
    """The component's own local health endpoint; None: could not look."""
    detail: str = ""
    etcd: EtcdMember | None = None


@dataclass(frozen=True, kw_only=True)
class OrderReport:
    order_id: str
    phase: Phase
    fault: Fault | None = None
    """None only for the tombstone of an order that this guard never knew."""
    order_sha256: str = ""
    """SHA-256 of the journalled order; the same from `arm` to the end."""
    component: Component | None = None
    """What a `hold`, `kill` or `flag` is aimed at."""
    manifest_before: ManifestInfo | None = None
    processes_before: list[ProcessInfo] = field(default_factory=list)
    """The target's processes just before inject: these must be seen gone."""
    bitten: bool = False
    """`hold`, `kill`, `flag`: every process of `processes_before` was seen gone. `cut`: the kernel
    lists the endpoints, and a fresh connection to none of them got through. `object`: every
    object was seen changed."""
    cut: list[Endpoint] = field(default_factory=list)
    """`cut`: which of its endpoints the kernel still lists."""
    objects: list[ObjectReport] = field(default_factory=list)
    undo_reason: UndoReason | None = None
    undo_attempts: int = 0
    lease_left_s: float = 0.0
    deadline_left_s: float = 0.0
    armed_at: str = ""
    injected_at: str = ""
    bitten_at: str = ""
    undo_asked_at: str = ""
    undone_at: str = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Hello:
    protocol: int
    version: str
    node: str
    cluster_uid: str
    stage: str
    boot: Boot
    session: str
    """Random per guard process; `arm`, `inject` and `renew` must carry it."""
    sequence: int
    """The last sequence number accepted in this session; the next must be greater."""
    epoch: int
    installation: str
    """Which Belay installed this guard; another one is refused."""
    order: OrderReport | None = None
    """The live order, if there is one."""
    image: str = ""
    """The image that its manifest names: tells an updated guard from the one it replaces."""


@dataclass(frozen=True, kw_only=True)
class ArmRequest:
    session: str
    sequence: int
    epoch: int
    order_id: str
    fault: Fault
    lease_s: float = LEASE_S
    credential: Credential | None = None
    """For `object`, and for nothing else."""


@dataclass(frozen=True, kw_only=True)
class Armed:
    report: OrderReport
    stored_sha256: str
    """SHA-256 of the order as read back from the node's disk after fsync."""


@dataclass(frozen=True, kw_only=True)
class InjectRequest:
    session: str
    sequence: int
    order_id: str


@dataclass(frozen=True, kw_only=True)
class RenewRequest:
    session: str
    sequence: int
    order_id: str


@dataclass(frozen=True, kw_only=True)
class UndoRequest:
    order_id: str


@dataclass(frozen=True, kw_only=True)
class NodeStatus:
    node: str
    boot: Boot
    observed_at: str
    order: OrderReport | None = None
    """The live order, or the last one that ended in this boot or before."""
    components: list[ComponentStatus] = field(default_factory=list)
    pod_uids: list[str] | None = None
    """UIDs of pods that have live processes under the kubepods cgroups; None: could not look."""
    cuts: list[str] | None = None
    """Everything that the kernel drops for this guard right now, each as `<ip> . <port>`, whatever
    any order says; None: could not look."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    code: Code
    detail: str
    """What was wrong, with which value, and what to do now."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Who a guard serves and what it may touch: its own 0600 file, written at installation."""

    installation: str
    """Which Belay installed it; a second one is refused."""
    epoch: int
    """The epoch at installation; a newer one that came with an order is kept in the journal."""
    stage: str
    """Faults are for `qa`; with any other word nothing can be armed."""
    cluster_uid: str
    node: str
    address: str
    """The one address it listens on: the node's own, never a wildcard."""
    ca_pem: str
    """Belay's certificate authority for this cluster."""
    port: int = DEFAULT_PORT
    components: list[Component] = field(default_factory=lambda: list(Component))
    lease_min_s: float = 10.0
    lease_max_s: float = 300.0


class Role(StrEnum):
    """What a client certificate opens."""

    FULL = "full"
    UNDO = "undo"
    """`hello`, `status` and `undo` only."""


def role_uri(cluster_uid: str, node: str, role: Role) -> str:
    """The alternative name (URI) of a client certificate for one node.

    A common name holds 64 characters; a node's name alone may have 253.
    """
    return f"belay://{cluster_uid}/{node}/{role}"


__all__ = [
    "DEADLINE_MARGIN_S",
    "DEFAULT_PORT",
    "HOLD_MAX_S",
    "HOLD_MIN_S",
    "INJECT_WINDOW_S",
    "INSTALLED",
    "INSTALL_FAILED",
    "LEASE_S",
    "MAX_BODY_BYTES",
    "MAX_ENDPOINTS",
    "MAX_OBJECTS",
    "ORDER_ID",
    "PROTOCOL_VERSION",
    "STAGE_QA",
    "UNINSTALLED",
    "X509_V_FLAG_NO_CHECK_TIME",
    "ArmRequest",
    "Armed",
    "BadFlag",
    "Boot",
    "Code",
    "Component",
    "ComponentStatus",
    "Credential",
    "Endpoint",
    "EtcdMember",
    "Fault",
    "FaultKind",
    "Hello",
    "InjectRequest",
    "Json",
    "MalformedError",
    "ManifestInfo",
    "NodeStatus",
    "ObjectChange",
    "ObjectKind",
    "ObjectReport",
    "ObjectState",
    "ObjectTarget",
    "OrderReport",
    "Phase",
    "Policy",
    "ProcessInfo",
    "Refusal",
    "RenewRequest",
    "Role",
    "UndoReason",
    "UndoRequest",
    "compact",
    "from_json",
    "role_uri",
    "to_json",
]
