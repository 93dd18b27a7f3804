"""One node of the cluster: its manifests, its processes, its kubelet, its boots.

This is the ground truth that rows are held against. It knows nothing of orders but what was done
to it, and notes every strike for the checker.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from guard.protocol import Boot, Component, ManifestInfo, ProcessInfo
from guard.world import FoundManifest, FoundProcess
from tests.simulator.disk import Disk
from tests.simulator.kernel import Kernel
from tests.simulator.rules import Rules

TEXT = """apiVersion: v1
kind: Pod
spec:
  containers:
  - command:
    - {component}
    - --etcd-servers=https://127.0.0.1:2379
    image: {component}:1
"""
NOTICE_S = 0.5
"""The kubelet sees a manifest come or go."""
START_S = 1.0
RESTART_S = 2.0
"""After a container died: the kubelet's first back-off, and the start."""
HEALTHY_S = 2.0
"""From the start of a process to a good answer of its health endpoint."""
GRACE_S = 30.0


@dataclass(frozen=True)
class Strike:
    """Something of ours broke something on a node."""

    at: float
    node: str
    what: str
    order_id: str
    component: Component | None


@dataclass
class Effect:
    """A manifest of ours is away: from when to when."""

    node: str
    order_id: str
    component: Component
    since: float
    until: float | None = None


@dataclass
class Running:
    info: ProcessInfo
    pod_uid: str
    since: float


@dataclass
class Stash:
    """What a guard keeps beside the manifests of one order."""

    taken: dict[Component, FoundManifest] = field(default_factory=dict)
    copies: dict[Component, FoundManifest] = field(default_factory=dict)
    flagged: dict[Component, FoundManifest] = field(default_factory=dict)


class Machine:
    """`guard.world.Node`, and everything around it."""

    def __init__(self, kernel: Kernel, name: str, components: tuple[Component, ...]) -> None:
        self.kernel = kernel
        self.name = name
        self.components = components
        self.disk = Disk()
        self.rules = Rules(kernel)
        self.rules.on_cut = lambda: self.strike("cut", None, self.order_now())
        self.up = True
        self.boots = 1
        self.booted_at = -1000.0
        self.original = {one: manifest_of(name, one) for one in components}
        self.manifests = dict(self.original)
        self.stashes: dict[str, Stash] = {}
        self.running: dict[Component, Running | None] = dict.fromkeys(components)
        self.kubelet_runs = True
        self.strikes: list[Strike] = []
        self.effects: list[Effect] = []
        self._flagged: set[str] = set()
        """Hashes of manifests with a bad flag: what they start dies at once."""
        self.on_strike: Callable[[Strike], None] = lambda _strike: None
        self.order_now: Callable[[], str] = lambda: ""
        """Which order the guard's process is acting for: a kill itself carries none."""
        self._synced = dict(self.manifests)
        self._starting: set[Component] = set()
        self._pids = 100
        for one in components:
            self._start(one, since=-100.0)
        kernel.after(NOTICE_S, self._kubelet)

    # -- time -------------------------------------------------------------------------------------

    @property
    def boottime(self) -> float:
        return self.kernel.now - self.booted_at

    def _kubelet(self) -> None:
        if self.up and self.kubelet_runs:
            for one in self.components:
                self._look_after(one)
        self.kernel.after(NOTICE_S, self._kubelet)

    def _look_after(self, one: Component) -> None:
        wanted, runs = self.manifests.get(one), self.running[one]
        if runs is not None:
            self._end_what_is_not_wanted(one, runs, wanted)
            return
        if wanted is None or one in self._starting:
            return
        self._starting.add(one)
        boot = self.boots

        def start() -> None:
            self._starting.discard(one)
            found = self.manifests.get(one)
            bad = found is not None and found.info.sha256 in self._flagged
            if self.boots == boot and self.up and found is not None and not bad:
                self._start(one, since=self.kernel.now)

        self.kernel.after(START_S, start)

    def _end_what_is_not_wanted(
        self, one: Component, runs: Running, wanted: FoundManifest | None
    ) -> None:
        if wanted is not None and pod_uid(wanted) == runs.pod_uid:
            return

        def end() -> None:
            found = self.manifests.get(one)
            if self.running[one] is runs and (found is None or pod_uid(found) != runs.pod_uid):
                self.running[one] = None

        self.kernel.after(START_S if wanted is not None else GRACE_S, end)

    def _start(self, one: Component, since: float) -> None:
        wanted = self.manifests.get(one)
        if self.running[one] is not None or wanted is None:
            return
        self._pids += 1
        info = ProcessInfo(
            pid=self._pids,
            started_ticks=int((since - self.booted_at) * 100),
            container_id=f"{self._pids:064x}",
        )
        self.running[one] = Running(info=info, pod_uid=pod_uid(wanted), since=since)

    def power_cut(self, *, lucky: bool = False) -> None:
        """Everything that runs is gone, and what was not synced: by bad luck, or not."""
        if lucky:
            self._sync()
        self.up = False
        self.boots += 1
        self.running = dict.fromkeys(self.components)
        self._starting.clear()
        self.disk.power_cut()
        self.rules.clear()
        self.manifests = dict(self._synced)
        for stash in self.stashes.values():
            for one in self.manifests:
                stash.taken.pop(one, None)
        self._note_ends()

    def power_on(self) -> None:
        self.up = True
        self.booted_at = self.kernel.now - 20.0

    # -- what people and other programs do ------------------------------------------------------

    def edit(self, one: Component) -> None:
        """Somebody puts a manifest of their own where the original was."""
        info = self.original[one].info
        other = ManifestInfo(path=info.path, sha256="e" * 64, mode=info.mode, uid=0, gid=0)
        self.manifests[one] = FoundManifest(info=other, mtime_ns=2)
        self._sync()

    def revert(self, one: Component) -> None:
        """Something (GitOps) puts the original back in mid-fault."""
        self.manifests.setdefault(one, self.original[one])
        self._sync()

    def take_edits_away(self) -> None:
        """A person settles a stuck undo: their own file goes, the original may return."""
        for one, found in list(self.manifests.items()):
            if found.info != self.original[one].info:
                del self.manifests[one]
                if not any(stash.taken or stash.copies for stash in self.stashes.values()):
                    self.manifests[one] = self.original[one]
        self._sync()

    # -- guard.world.Node -------------------------------------------------------------------------

    def boot(self) -> Boot:
        return Boot(boot_id=f"boot-{self.boots}", init_started_ticks=self.boots)

    def manifest(self, component: Component) -> FoundManifest | None:
        return self.manifests.get(component)

    def stash_copy(self, order_id: str, component: Component, expect: ManifestInfo) -> None:
        self.disk.before_write()
        self.disk.refuse_when_full()
        found = self.manifests.get(component)
        if found is None or found.info != expect:
            raise OSError("it is not the manifest that was armed")
        self.stashes.setdefault(order_id, Stash()).copies[component] = found
        self.disk.after_write()

    def take(self, order_id: str, component: Component, expect: ManifestInfo) -> None:
        self.disk.before_write()
        found = self.manifests.get(component)
        if found is None or found.info != expect:
            raise OSError("it is not the file that was armed")
        self.strike("take", component, order_id)
        self.stashes.setdefault(order_id, Stash()).taken[component] = self.manifests.pop(component)
        self.effects.append(Effect(self.name, order_id, component, self.kernel.now))
        self.disk.after_write()

    def place(self, order_id: str, component: Component, expect: ManifestInfo) -> None:
        self.disk.before_write()
        if component in self.manifests:
            raise FileExistsError(f"{component} has a manifest")
        stash = self.stashes.get(order_id, Stash())
        source = stash.taken.pop(component, None) or stash.copies.get(component)
        if source is None:
            raise OSError(errno.ENOENT, "neither the file nor its copy is there")
        self.manifests[component] = source
        self._sync()
        self.disk.after_write()

    def drop_stash(self, order_id: str) -> None:
        self.disk.before_write()
        self.stashes.pop(order_id, None)
        self._sync()
        self.disk.after_write()

    def stashed_orders(self) -> list[str]:
        return sorted(self.stashes)

    def adopt_stash(self, order_id: str) -> list[str]:
        put_back = []
        for component, found in self.stashes[order_id].taken.items():
            if component not in self.manifests:
                self.manifests[component] = found
                put_back.append(found.info.path)
        for component, ours in self.stashes[order_id].flagged.items():
            if self.manifests.get(component) == ours:
                self.manifests[component] = self.stashes[order_id].copies[component]
                put_back.append(ours.info.path)
        self._sync()
        return put_back

    def manifest_text(self, component: Component) -> str:
        if component not in self.manifests:
            raise FileNotFoundError(f"no manifest of {component}")
        return TEXT.format(component=component)

    def flag_copy(self, order_id: str, component: Component, text: bytes) -> ManifestInfo:
        self.disk.before_write()
        self.disk.refuse_when_full()
        info = dataclasses.replace(
            self.manifests[component].info, sha256=hashlib.sha256(text).hexdigest()
        )
        flagged = FoundManifest(info=info, mtime_ns=3)
        self.stashes.setdefault(order_id, Stash()).flagged[component] = flagged
        self.disk.after_write()
        return info

    def swap(
        self, order_id: str, component: Component, expect: ManifestInfo, *, flag: bool
    ) -> None:
        self.disk.before_write()
        found, stash = self.manifests.get(component), self.stashes.get(order_id, Stash())
        if found is None or found.info != expect:
            raise OSError("the file that stands is not the expected one")
        source = stash.flagged if flag else stash.copies
        if component not in source:
            raise OSError(errno.ENOENT, "it is not in the stash")
        if flag:
            self.strike("flag", component, order_id)
            self.effects.append(Effect(self.name, order_id, component, self.kernel.now))
            self._flagged.add(source[component].info.sha256)
        self.manifests[component] = source[component]
        if not flag:
            self._sync()
        self.disk.after_write()

    def processes(self, component: Component, pod_uid: str | None = None) -> list[FoundProcess]:
        runs = self.running.get(component)
        if runs is None or pod_uid not in (None, runs.pod_uid):
            return []
        return [FoundProcess(info=runs.info, pod_uid=runs.pod_uid)]

    def alive(self, process: ProcessInfo) -> bool:
        return any(runs is not None and runs.info == process for runs in self.running.values())

    def kill(self, process: ProcessInfo) -> None:
        for component, runs in self.running.items():
            if runs is not None and runs.info == process:
                self.strike(f"kill {process.pid}", component, self.order_now())
                self.running[component] = None
                self._wait_before_restart(component)

    @property
    def table(self) -> Machine:
        return self

    def pod_uids(self) -> list[str]:
        return sorted(runs.pod_uid for runs in self.running.values() if runs is not None)

    # -- small things -----------------------------------------------------------------------------

    def serves(self, component: Component) -> bool:
        """Is there a process of it, long enough to answer?"""
        runs = self.running.get(component)
        return self.up and runs is not None and self.kernel.now - runs.since >= HEALTHY_S

    def is_as_before(self) -> bool:
        """Every manifest is the original, every component runs, nothing of ours lies about."""
        return (
            self.up
            and self.manifests == self.original
            and all(runs is not None for runs in self.running.values())
            and not self.stashes
            and not self.rules.listed()
        )

    def _wait_before_restart(self, component: Component) -> None:
        self._starting.add(component)
        self.kernel.after(RESTART_S, lambda: self._starting.discard(component))

    def strike(self, what: str, component: Component | None, order_id: str) -> None:
        strike = Strike(self.kernel.now, self.name, what, order_id, component)
        self.strikes.append(strike)
        self.on_strike(strike)

    def _sync(self) -> None:
        self._synced = dict(self.manifests)
        self._note_ends()

    def _note_ends(self) -> None:
        for effect in self.effects:
            found = self.manifests.get(effect.component)
            if effect.until is None and found and found.info.sha256 not in self._flagged:
                effect.until = self.kernel.now


def manifest_of(node: str, component: Component) -> FoundManifest:
    text = hashlib.sha256(f"{node} {component}".encode()).hexdigest()
    info = ManifestInfo(
        path=f"/etc/kubernetes/manifests/{component}.yaml", sha256=text, mode=0o600, uid=0, gid=0
    )
    return FoundManifest(info=info, mtime_ns=1)


def pod_uid(manifest: FoundManifest) -> str:
    """The kubelet makes a static pod's UID from its file."""
    return f"static-{manifest.info.sha256[:32]}"
