"""What the guard needs of the world, as shapes: clock, disk, node.

The rules (`guard.orders`, `guard.faults`) know only these. The real ones are in `guard.clock`,
`guard.disk` and `guard.node`; a simulator hands in its own and runs the same rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from guard.kube import ObjectApi
from guard.protocol import Boot, Code, Component, Endpoint, ManifestInfo, ProcessInfo


class RefusedError(Exception):
    """A request that the guard does not do. `detail` says what, with which value, and what now."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, kw_only=True)
class FoundManifest:
    """A manifest as it lies on the disk."""

    info: ManifestInfo
    mtime_ns: int


@dataclass(frozen=True, kw_only=True)
class FoundProcess:
    """A process of a static pod's container."""

    info: ProcessInfo
    pod_uid: str


class Clock(Protocol):
    def boottime(self) -> float:
        """Seconds since boot, suspend included; never steps."""

    def wall(self) -> str:
        """RFC 3339 in UTC, for people only."""


class Disk(Protocol):
    """Durable files of the guard's own state. Every method may raise OSError."""

    def read(self, path: Path) -> bytes | None:
        """The bytes, or None when there is no such file."""

    def replace(self, path: Path, data: bytes, *, durable: bool = True) -> None:
        """Put `data` in place in one step; with `durable`, it survives a power cut on return."""

    def append(self, path: Path, line: bytes) -> None:
        """Add a line durably."""

    def remove(self, path: Path) -> None:
        """Remove a file; no error when it is not there."""


class Node(Protocol):
    """The node's manifests and processes. File methods may raise OSError."""

    def boot(self) -> Boot:
        """Which boot of this node it is."""

    def manifest(self, component: Component) -> FoundManifest | None:
        """The component's file in the manifests directory; None when there is none."""

    def stash_copy(self, order_id: str, component: Component, expect: ManifestInfo) -> None:
        """Copy the manifest (bytes, mode, owner, times) into the order's stash, durably."""

    def take(self, order_id: str, component: Component, expect: ManifestInfo) -> None:
        """Move the manifest into the order's stash; OSError if it is not the expected one."""

    def place(self, order_id: str, component: Component, expect: ManifestInfo) -> None:
        """Move the stashed file back. FileExistsError when a file stands there: never clobbers."""

    def drop_stash(self, order_id: str) -> None:
        """Forget the order's stash; no error when there is none."""

    def stashed_orders(self) -> list[str]:
        """Order ids that have a stash."""

    def adopt_stash(self, order_id: str) -> list[str]:
        """Put back what a stash without a journal took away; returns what was put back."""

    def processes(self, component: Component, pod_uid: str | None = None) -> list[FoundProcess]:
        """Live processes of the component that run in a static pod of this node."""

    def alive(self, process: ProcessInfo) -> bool:
        """Is exactly this process (pid and start time) still there, and not a zombie?"""

    def kill(self, process: ProcessInfo) -> None:
        """SIGKILL exactly this process; no error when it is already gone."""

    def flag_copy(self, order_id: str, component: Component, text: bytes) -> ManifestInfo:
        """Write a changed manifest into the order's stash, durably, with the mode and owner of
        the one that stands; returns what it will be in its place."""

    def swap(
        self, order_id: str, component: Component, expect: ManifestInfo, *, flag: bool
    ) -> None:
        """Put the changed manifest (`flag`) or the original in the place of the one that stands,
        in one step; OSError if that one is not the expected one."""

    def manifest_text(self, component: Component) -> str:
        """The text of the component's manifest; OSError when it cannot be read."""


class PacketRules(Protocol):
    """What the kernel drops for this guard. Every method may raise OSError."""

    def cut(self, endpoints: list[Endpoint], timeout_s: int) -> None:
        """Drop all packets to these TCP endpoints; the kernel itself forgets after `timeout_s`."""

    def listed(self) -> list[Endpoint]:
        """Everything that is dropped right now."""

    def clear(self) -> None:
        """Drop nothing any more; no error when nothing was."""

    def got_through(self, endpoints: list[Endpoint]) -> bool | None:
        """Did a fresh connection reach any of them? None: still trying, ask again shortly."""


class Marks(Protocol):
    """The drill's file in the guard's own state. Every method may raise OSError."""

    def read_mark(self) -> str | None: ...
    def write_mark(self, order_id: str) -> None: ...
    def drop_mark(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class World:
    """All that a fault can have an effect on, handed to its driver."""

    node: Node
    rules: PacketRules
    marks: Marks
    objects: ObjectApi
