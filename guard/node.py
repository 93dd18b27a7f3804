"""The real node: its manifests and its processes together, as `guard.world.Node` asks."""

from __future__ import annotations

from guard.manifests import Manifests
from guard.policy import Paths
from guard.processes import ProcessTable
from guard.protocol import Boot, Component, ManifestInfo, ProcessInfo
from guard.world import FoundManifest, FoundProcess


class RealNode:
    """One node, seen through the paths that are mounted into the guard's container."""

    def __init__(self, paths: Paths) -> None:
        self.manifests = Manifests(paths.manifests, paths.stash)
        self.table = ProcessTable(paths.proc)

    def boot(self) -> Boot:
        return self.table.boot()

    def manifest(self, component: Component) -> FoundManifest | None:
        return self.manifests.look(component)

    def stash_copy(self, order_id: str, component: Component, expect: ManifestInfo) -> None:
        self.manifests.stash_copy(order_id, component, expect)

    def take(self, order_id: str, component: Component, expect: ManifestInfo) -> None:
        self.manifests.take(order_id, component, expect)

    def place(self, order_id: str, component: Component, expect: ManifestInfo) -> None:
        self.manifests.place(order_id, component, expect)

    def drop_stash(self, order_id: str) -> None:
        self.manifests.drop_stash(order_id)

    def stashed_orders(self) -> list[str]:
        return self.manifests.stashed_orders()

    def adopt_stash(self, order_id: str) -> list[str]:
        return self.manifests.adopt_stash(order_id)

    def processes(self, component: Component, pod_uid: str | None = None) -> list[FoundProcess]:
        return self.table.find(component, pod_uid)

    def alive(self, process: ProcessInfo) -> bool:
        return self.table.alive(process)

    def kill(self, process: ProcessInfo) -> None:
        self.table.kill(process)

    def manifest_text(self, component: Component) -> str:
        return self.manifests.text(component)

    def flag_copy(self, order_id: str, component: Component, text: bytes) -> ManifestInfo:
        return self.manifests.flag_copy(order_id, component, text)

    def swap(
        self, order_id: str, component: Component, expect: ManifestInfo, *, flag: bool
    ) -> None:
        self.manifests.swap(order_id, component, expect, flag=flag)
