"""An order as the guard keeps it: the recipe that never changes, and how far it has come."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field

from guard.protocol import (
    Boot,
    Component,
    Credential,
    Endpoint,
    Fault,
    Json,
    ManifestInfo,
    ObjectReport,
    OrderReport,
    Phase,
    ProcessInfo,
    UndoReason,
    compact,
    from_json,
    to_json,
)

LIVE_BEFORE_UNDO = frozenset({Phase.ARMED, Phase.INJECTING, Phase.INJECTED})
UNDO_RUNNING = frozenset({Phase.UNDOING, Phase.STUCK})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that the undo needs, written before anything is broken. Its hash names the order."""

    order_id: str
    fault: Fault
    epoch: int
    lease_s: float
    boot: Boot
    armed_boottime: float
    armed_at: str
    component: Component | None = None
    """What a `flag` is aimed at; see `target`."""
    manifest: ManifestInfo | None = None
    """The static pod's manifest as it was; None for faults that touch none."""
    flagged: ManifestInfo | None = None
    """`flag`: the manifest with the bad flag in it, made and hashed at arming."""
    pod_uid: str = ""
    """The static pod's UID: only processes of this pod are ever touched."""
    objects_before: list[str] = field(default_factory=list)
    """`object`: per target, as canonical JSON, the fields that the change will touch."""

    @property
    def target(self) -> Component:
        """The component of a fault that has one."""
        component = self.component or self.fault.component
        assert component is not None
        return component

    @property
    def manifest_before(self) -> ManifestInfo:
        """The manifest of a fault that touches one."""
        assert self.manifest is not None
        return self.manifest

    def sha256(self) -> str:
        """The hash of what is set: the same whichever version of the guard reads the order."""
        text = json.dumps(compact(to_json(self)), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def replace(self, **changes: object) -> Recipe:
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class Order:
    """A recipe and its progress; replaced as a whole, never changed in place.

    Every `*_boottime` is in seconds on CLOCK_BOOTTIME and has no meaning in another boot.
    """

    recipe: Recipe
    phase: Phase = Phase.ARMED
    processes_before: list[ProcessInfo] = field(default_factory=list)
    injected_boottime: float | None = None
    bitten: bool = False
    undo_reason: UndoReason | None = None
    undo_boottime: float | None = None
    undo_attempts: int = 0
    placed_boottime: float | None = None
    """When the manifest was back in place; for `kill`, when the undo began."""
    retry_boottime: float | None = None
    """After a failed attempt: not before this."""
    nudged: bool = False
    nudge_back_boottime: float | None = None
    """In mid-nudge: when the manifest is to be moved back again."""
    injected_at: str = ""
    bitten_at: str = ""
    undo_asked_at: str = ""
    undone_at: str = ""
    detail: str = ""
    cut: list[Endpoint] = field(default_factory=list)
    """`cut`: which of its endpoints the kernel listed at the last look."""
    objects: list[ObjectReport] = field(default_factory=list)
    """`object`: how far each target has come."""
    objects_written: list[str] = field(default_factory=list)
    """`object`: per target, as canonical JSON, the touched fields as they were written."""
    credential: Credential | None = None
    """`object`: kept until the undo is done, and forgotten then."""

    @property
    def order_id(self) -> str:
        return self.recipe.order_id

    @property
    def live(self) -> bool:
        return self.phase is not Phase.UNDONE

    def replace(self, **changes: object) -> Order:
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def report(self, *, lease_left_s: float = 0.0, deadline_left_s: float = 0.0) -> OrderReport:
        return OrderReport(
            order_id=self.order_id,
            phase=self.phase,
            fault=self.recipe.fault,
            order_sha256=self.recipe.sha256(),
            component=self.recipe.component or self.recipe.fault.component,
            manifest_before=self.recipe.manifest,
            processes_before=self.processes_before,
            bitten=self.bitten,
            undo_reason=self.undo_reason,
            undo_attempts=self.undo_attempts,
            lease_left_s=round(max(lease_left_s, 0.0), 3),
            deadline_left_s=round(max(deadline_left_s, 0.0), 3),
            armed_at=self.recipe.armed_at,
            injected_at=self.injected_at,
            bitten_at=self.bitten_at,
            undo_asked_at=self.undo_asked_at,
            undone_at=self.undone_at,
            detail=self.detail,
            cut=self.cut,
            objects=self.objects,
        )


def tombstone_report(order_id: str, detail: str) -> OrderReport:
    """The answer for an order that is over, or that was never known and now never will be."""
    return OrderReport(order_id=order_id, phase=Phase.UNDONE, detail=detail)


def order_to_json(order: Order) -> Json:
    return {"sha256": order.recipe.sha256(), "order": to_json(order)}


def order_from_json(data: object) -> Order:
    """Read an order back; raise ValueError when it is not what was written."""
    if not isinstance(data, dict) or set(data) != {"sha256", "order"}:
        raise ValueError("not the record of an order")
    order = from_json(Order, data["order"])
    if order.recipe.sha256() != data["sha256"]:
        raise ValueError(f"the recipe of order {order.order_id} does not match its hash")
    return order
