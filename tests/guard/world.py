"""A node, a disk and a clock that do what a test says: the rules run on them unchanged."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import uuid
from pathlib import Path

import pytest

from guard.journal import Journal
from guard.kube import ObjectApi
from guard.orders import Orders
from guard.protocol import (
    Armed,
    ArmRequest,
    Boot,
    Code,
    Component,
    Endpoint,
    Fault,
    FaultKind,
    InjectRequest,
    ManifestInfo,
    OrderReport,
    Policy,
    ProcessInfo,
    RenewRequest,
)
from guard.world import FoundManifest, FoundProcess, RefusedError

STATIC_POD = "0123456789abcdef0123456789abcdef"
FLAGGED_POD = "fedcba9876543210fedcba9876543210"
CONTAINER = "c" * 64
STATE = Path("/state")


class FakeClock:
    """Boot time moves when told; wall time may be set to anything."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.date = "2026-11-23T12:00:00Z"

    def boottime(self) -> float:
        return self.now

    def wall(self) -> str:
        return self.date


class FakeDisk:
    """Files in a dictionary; `full` refuses every write, as ENOSPC does."""

    def __init__(self) -> None:
        self.files: dict[Path, bytes] = {}
        self.full = False

    def read(self, path: Path) -> bytes | None:
        return self.files.get(path)

    def replace(self, path: Path, data: bytes, *, durable: bool = True) -> None:
        self.refuse_when_full()
        self.files[path] = data

    def append(self, path: Path, line: bytes) -> None:
        self.refuse_when_full()
        self.files[path] = self.files.get(path, b"") + line

    def remove(self, path: Path) -> None:
        self.files.pop(path, None)

    def refuse_when_full(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")


class FakeNode:
    """Manifests, a stash, processes, and a kubelet that a test can stop."""

    def __init__(self, disk: FakeDisk, clock: FakeClock) -> None:
        self.disk = disk
        self.clock = clock
        self.boot_now = Boot(boot_id="one", init_started_ticks=1)
        self.manifests = {one: found_manifest(one) for one in Component}
        self.stash: dict[str, dict[Component, FoundManifest]] = {}
        self.copies: dict[str, dict[Component, FoundManifest]] = {}
        self.flagged: dict[str, dict[Component, FoundManifest]] = {}
        self.texts = {one: manifest_text(one) for one in Component}
        self.running: dict[Component, list[FoundProcess]] = {one: [] for one in Component}
        self.kills: list[ProcessInfo] = []
        self.placed: list[Component] = []
        self.kubelet_runs = True
        self.immortal: set[int] = set()
        self.place_fails = ""
        self.flagged_lingers = False
        """The pod with the bad flag takes its time to end after the original is back."""
        self._next_pid = 100
        self.kubelet()

    def kubelet(self) -> None:
        """What the kubelet does: run what has a manifest, if it is not running."""
        if not self.kubelet_runs:
            return
        for component, found in self.manifests.items():
            flagged = any(found == these.get(component) for these in self.flagged.values())
            wanted = FLAGGED_POD if flagged else STATIC_POD
            if flagged or not self.flagged_lingers:
                # Another manifest is another static pod: the former one ends first.
                self.running[component] = [
                    one
                    for one in self.running[component]
                    if one.pod_uid == wanted or one.pod_uid not in (STATIC_POD, FLAGGED_POD)
                ]
            if not self.running[component]:
                self.start(component, wanted)

    def start(self, component: Component, pod_uid: str = STATIC_POD) -> None:
        self._next_pid += 1
        info = ProcessInfo(
            pid=self._next_pid, started_ticks=int(self.clock.now), container_id=CONTAINER
        )
        self.running[component].append(FoundProcess(info=info, pod_uid=pod_uid))

    def boot(self) -> Boot:
        return self.boot_now

    def manifest(self, component: Component) -> FoundManifest | None:
        return self.manifests.get(component)

    def stash_copy(self, order_id: str, component: Component, expect: ManifestInfo) -> None:
        self.disk.refuse_when_full()
        self.copies.setdefault(order_id, {})[component] = self.manifests[component]

    def take(self, order_id: str, component: Component, expect: ManifestInfo) -> None:
        if self.manifests[component].info != expect:
            raise OSError("not the file that was armed")
        self.stash.setdefault(order_id, {})[component] = self.manifests.pop(component)

    def place(self, order_id: str, component: Component, expect: ManifestInfo) -> None:
        if self.place_fails:
            raise OSError(errno.EIO, self.place_fails)
        if component in self.manifests:
            raise FileExistsError
        taken = self.stash.get(order_id, {}).pop(component, None)
        self.manifests[component] = taken or self.copies[order_id][component]
        self.placed.append(component)

    def drop_stash(self, order_id: str) -> None:
        self.stash.pop(order_id, None)
        self.copies.pop(order_id, None)
        self.flagged.pop(order_id, None)

    def stashed_orders(self) -> list[str]:
        return sorted({*self.stash, *self.copies, *self.flagged})

    def adopt_stash(self, order_id: str) -> list[str]:
        put_back = []
        for component, found in self.stash.get(order_id, {}).items():
            if component not in self.manifests:
                self.manifests[component] = found
                put_back.append(found.info.path)
        for component, ours in self.flagged.get(order_id, {}).items():
            if self.manifests.get(component) == ours:
                self.manifests[component] = self.copies[order_id][component]
                put_back.append(ours.info.path)
        return put_back

    def processes(self, component: Component, pod_uid: str | None = None) -> list[FoundProcess]:
        return [p for p in self.running[component] if pod_uid in (None, p.pod_uid)]

    def alive(self, process: ProcessInfo) -> bool:
        return any(p.info == process for found in self.running.values() for p in found)

    def manifest_text(self, component: Component) -> str:
        return self.texts[component]

    def flag_copy(self, order_id: str, component: Component, text: bytes) -> ManifestInfo:
        self.disk.refuse_when_full()
        flagged = found_manifest(component, hashlib.sha256(text).hexdigest())
        self.flagged.setdefault(order_id, {})[component] = flagged
        return flagged.info

    def swap(
        self, order_id: str, component: Component, expect: ManifestInfo, *, flag: bool
    ) -> None:
        self.disk.refuse_when_full()
        if self.place_fails:
            raise OSError(errno.EIO, self.place_fails)
        if component not in self.manifests or self.manifests[component].info != expect:
            raise OSError("not the file that it should be")
        source = self.flagged if flag else self.copies
        self.manifests[component] = source[order_id][component]

    def kill(self, process: ProcessInfo) -> None:
        self.kills.append(process)
        if process.pid in self.immortal:
            return
        for component, found in self.running.items():
            self.running[component] = [p for p in found if p.info != process]


class FakeRules:
    """What a kernel drops, until its own clock says that it has been long enough."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.until: dict[Endpoint, float] = {}
        self.fails = ""
        self.leaks = False
        """Packets get through all the same."""

    def cut(self, endpoints: list[Endpoint], timeout_s: int) -> None:
        self._refuse()
        self.until = dict.fromkeys(endpoints, self.clock.now + timeout_s)

    def listed(self) -> list[Endpoint]:
        self._refuse()
        return [one for one, until in self.until.items() if until > self.clock.now]

    def clear(self) -> None:
        self._refuse()
        self.until = {}

    def got_through(self, endpoints: list[Endpoint]) -> bool | None:
        return self.leaks or not set(endpoints) <= set(self.listed())

    def _refuse(self) -> None:
        if self.fails:
            raise OSError(self.fails)


def found_manifest(component: Component, sha256: str = "") -> FoundManifest:
    return FoundManifest(
        info=ManifestInfo(
            path=f"/etc/kubernetes/manifests/{component}.yaml",
            sha256=sha256 or str(component).encode().hex().ljust(64, "0"),
            mode=0o600,
            uid=0,
            gid=0,
        ),
        mtime_ns=1,
    )


def manifest_text(component: Component) -> str:
    """As kubeadm writes it, as far as the guard reads it."""
    return (
        "spec:\n  containers:\n  - command:\n"
        f"    - {component}\n    - --etcd-servers=https://127.0.0.1:2379\n"
        f"    image: {component}:1\n"
    )


def policy(**changes: object) -> Policy:
    given = Policy(
        installation="belay-one",
        epoch=3,
        stage="qa",
        cluster_uid="11111111-2222-3333-4444-555555555555",
        node="qa-1",
        address="127.0.0.1",
        ca_pem="-",
        lease_min_s=2.0,
    )
    return dataclasses.replace(given, **changes)  # type: ignore[arg-type]


class Site:
    """One node with its guard's rules, and the shortest way to say what a test means."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.disk = FakeDisk()
        self.node = FakeNode(self.disk, self.clock)
        self.rules = FakeRules(self.clock)
        self.objects: ObjectApi | None = None
        """Handed to the next guard process; None: real HTTPS."""
        self.policy = policy()
        self.starts = 0
        self.sequence = 0
        self.orders = self.start()

    def start(self) -> Orders:
        """A guard process begins: a new session, the same disk."""
        self.starts += 1
        self.sequence = 0
        self.orders = Orders(
            policy=self.policy,
            journal=Journal(self.disk, STATE),
            node=self.node,
            clock=self.clock,
            session=f"session-{self.starts}",
            rules=self.rules,
            objects=self.objects,
        )
        self.orders.start()
        return self.orders

    def restart(self) -> Orders:
        """The process was killed and its parent started another."""
        return self.start()

    def reboot(self) -> Orders:
        """The node's power was cut: boot time begins anew."""
        self.clock.now = 20.0
        self.node.boot_now = Boot(boot_id="two", init_started_ticks=2)
        self.rules.until = {}
        self.node.running = {one: [] for one in Component}
        self.node.kubelet()
        return self.start()

    def arm_request(self, **changes: object) -> ArmRequest:
        self.sequence += 1
        request = ArmRequest(
            session=self.orders.session,
            sequence=self.sequence,
            epoch=3,
            order_id=str(uuid.uuid4()),
            fault=fault(),
            lease_s=45.0,
        )
        return dataclasses.replace(request, **changes)  # type: ignore[arg-type]

    def arm(self, **changes: object) -> Armed:
        return self.orders.arm(self.arm_request(**changes))

    def inject(self, order_id: str) -> OrderReport:
        self.sequence += 1
        return self.orders.inject(
            InjectRequest(session=self.orders.session, sequence=self.sequence, order_id=order_id)
        )

    def renew(self, order_id: str) -> OrderReport:
        self.sequence += 1
        return self.orders.renew(
            RenewRequest(session=self.orders.session, sequence=self.sequence, order_id=order_id)
        )

    def live(self, **changes: object) -> str:
        """An order that was injected and has bitten; returns its id."""
        order_id = self.arm(**changes).report.order_id
        self.inject(order_id)
        self.run(0.1)
        assert self.report().bitten
        return order_id

    def run(self, seconds: float, *, kubelet: bool = True) -> None:
        """Let time pass: the undo loop and the kubelet do what they do."""
        until = self.clock.now + seconds
        while True:
            pause = self.orders.advance()
            if kubelet:
                self.node.kubelet()
            if self.clock.now >= until:
                return
            self.clock.now = min(self.clock.now + min(max(pause, 0.01), 0.5), until)

    def report(self) -> OrderReport:
        report = self.orders.report()
        assert report is not None
        return report


def refused(code: Code) -> pytest.RaisesExc[RefusedError]:
    """A refusal with this code."""
    return pytest.raises(RefusedError, check=lambda error: error.code is code)


def fault(
    kind: FaultKind = FaultKind.HOLD,
    component: Component = Component.KUBE_APISERVER,
    hold_s: int = 60,
) -> Fault:
    return Fault(kind=kind, component=component, hold_s=hold_s)
