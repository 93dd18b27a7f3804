"""What a schedule's fault is aimed at, for whoever meddles with it."""

from __future__ import annotations

from guard.protocol import Component
from tests.simulator.objects import CONFIG, CONTOUR, COREDNS, NODE, PRICES, REGISTRY, ROUTE
from tests.simulator.schedule import OBJECT_FAULTS, Schedule


def component_of(schedule: Schedule) -> Component:
    """Whose manifest a person would meddle with."""
    words = schedule.scenario + dict(schedule.given).get("flag", "")
    for word, component in (
        ("etcd-member", Component.ETCD),
        ("scheduler", Component.KUBE_SCHEDULER),
        ("controller-manager", Component.KUBE_CONTROLLER_MANAGER),
    ):
        if word in words:
            return component
    return Component.KUBE_APISERVER


def object_of(schedule: Schedule) -> str:
    """Which object of the API the fault changes or ends the pods of; empty: none."""
    if (schedule.scenario, schedule.given) not in OBJECT_FAULTS:
        return ""
    return {
        "bad-config": CONFIG,
        "route-nowhere": ROUTE,
        "route-invalid": ROUTE,
        "registry-unusable": REGISTRY,
        "envoy-control-plane-down": CONTOUR,
        "coredns-down": COREDNS,
        "node-drained": NODE,
    }.get(dict(schedule.given).get("change", schedule.scenario), PRICES)
