"""What this node looks like right now, for `status`."""

from __future__ import annotations

from guard.health import Health, HealthWatch
from guard.node import RealNode
from guard.orders import Orders
from guard.protocol import Component, ComponentStatus, NodeStatus
from guard.world import Clock, PacketRules


class StatusLook:
    """Puts processes, manifests, health and pods together. Looks only."""

    def __init__(
        self,
        orders: Orders,
        node: RealNode,
        health: HealthWatch,
        clock: Clock,
        rules: PacketRules,
    ) -> None:
        self._orders = orders
        self._node = node
        self._health = health
        self._clock = clock
        self._rules = rules

    def status(self) -> NodeStatus:
        health = self._health.latest()
        return NodeStatus(
            node=self._orders.policy.node,
            boot=self._node.boot(),
            observed_at=self._clock.wall(),
            order=self._orders.report(),
            components=[self._component(one, health[one]) for one in Component],
            pod_uids=self._pod_uids(),
            cuts=self._cuts(),
        )

    def _component(self, component: Component, health: Health) -> ComponentStatus:
        detail = health.detail
        manifest = None
        try:
            manifest = self._node.manifest(component)
        except OSError as error:
            detail = f"the manifest cannot be read: {error}; {detail}"
        return ComponentStatus(
            component=component,
            processes=[found.info for found in self._node.processes(component)],
            manifest=manifest.info if manifest is not None else None,
            healthy=health.healthy,
            detail=detail,
            etcd=health.etcd,
        )

    def _pod_uids(self) -> list[str] | None:
        try:
            return self._node.table.pod_uids()
        except OSError:
            return None

    def _cuts(self) -> list[str] | None:
        try:
            return [f"{one.address} . {one.port}" for one in self._rules.listed()]
        except OSError:
            return None
