"""What is measured per scenario: parameters, the look from outside, and the same thing by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gamedays.drivers.cluster import ClusterDriver
from gamedays.drivers.fleet import Fleet
from practice.plan import Plan
from tests.bench import looks
from tests.bench.holds import Way
from tests.bench.looks import Look
from tests.bench.owner import JSON, STRATEGIC_MERGE_PATCH, Json, Owner
from tests.bench.ways import by_requests, by_script, faults_of

BACK_OFF_S = 15.0
"""Longer than the range's longest kubelet back-off, so that none is running at the undo."""
A_MOMENT_S = 1.0
PRICES = "/apis/apps/v1/namespaces/shop/deployments/prices"
CONFIG = "/api/v1/namespaces/shop/configmaps/prices"
ROUTE = "/apis/projectcontour.io/v1/namespaces/shop/httpproxies/prices"
UNVERIFIED = "by hand nothing is journalled, looked at or undone if the hand is taken away"


@dataclass(frozen=True, kw_only=True)
class Place:
    """The range that is measured, and every way to it."""

    plan: Plan
    fleet: Fleet
    driver: ClusterDriver
    owner: Owner


@dataclass(frozen=True, kw_only=True)
class Case:
    """One scenario with one set of parameters."""

    name: str
    scenario: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    look: Callable[[Place], Look]
    bare: Callable[[Place], Way]
    hold_s: float = A_MOMENT_S
    lasting: bool = True
    """Something is held until the undo. What happens once is printed without a limit."""
    note: str = ""


def _static_pod(
    name: str, scenario: str, component: str, *, node: str = "", flag: str = "", kill: bool = False
) -> Case:
    """A component held, killed or given a bad flag, on one node or on all of them."""
    parameters = {"node": node} if node else {}
    parameters |= {"flag": flag} if flag else {"mode": "kill" if kill else "hold"}

    def on(place: Place) -> list[Any]:
        return [one for one in place.plan.control_plane_nodes if node in ("", one.name)]

    strike = "flag" if flag else "kill" if kill else "hold"
    return Case(
        name=name,
        scenario=scenario,
        parameters=parameters,
        look=lambda place: looks.Processes(on(place), component),
        bare=lambda place: by_script(
            place.plan, on(place), strike, "" if kill else "restore", BARE_COMPONENT=component
        ),
        hold_s=0.0 if kill else BACK_OFF_S,
        lasting=not kill,
    )


def _cut(scenario: str, name: str) -> Case:
    """Packets to a service dropped on every node."""
    parameters = {"mode": "cut"}

    def endpoints(place: Place) -> Any:
        [fault, *_] = faults_of(place.fleet, place.driver, scenario, parameters).values()
        return fault.endpoints

    def bare(place: Place) -> Way:
        elements = ", ".join(f"{e.address} . {e.port} timeout 3m" for e in endpoints(place))
        return by_script(place.plan, place.plan.nodes, "cut", "join", BARE_PLACES=elements)

    return Case(
        name=name,
        scenario=scenario,
        parameters=parameters,
        look=lambda place: looks.Kernels(place.plan, endpoints(place)),
        bare=bare,
        note=UNVERIFIED,
    )


def _scaled(scenario: str, name: str, deployment: str, **parameters: str) -> Case:
    """A Deployment at zero replicas."""
    namespace, _slash, short = deployment.partition("/")
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{short}"

    def bare(place: Place) -> Way:
        replicas = place.owner.get(path)["spec"]["replicas"]
        return _patched(place.owner, path, *({"spec": {"replicas": n}} for n in (0, replicas)))

    return Case(
        name=name,
        scenario=scenario,
        parameters=parameters,
        look=lambda place: looks.Scaled(place.owner, path),
        bare=bare,
        note=UNVERIFIED,
    )


def _patched(owner: Owner, path: str, bad: Json, good: Json, **more: str) -> Way:
    return by_requests(
        lambda: owner.patch(path, bad, **more), lambda: owner.patch(path, good, **more)
    )


def _wrong(change: str, look: Callable[[Place], Look], bare: Callable[[Place], Way]) -> Case:
    return Case(
        name=f"wrong configuration: {change}",
        scenario="wrong-configuration",
        parameters={"change": change, "target": "shop/prices"}
        | ({"part": "SHOP_NAME"} if change == "bad-env" else {}),
        look=look,
        bare=bare,
        note=UNVERIFIED,
    )


def _container(place: Place, change: Callable[[Json], Json]) -> Way:
    """The container of the prices' Deployment, with one thing in it changed, and as it was."""
    [now] = place.owner.get(PRICES)["spec"]["template"]["spec"]["containers"]
    bad, good = (
        {"spec": {"template": {"spec": {"containers": [{"name": now["name"]} | part]}}}}
        for part in (change(now), {key: now[key] for key in ("image", "env")})
    )
    return _patched(place.owner, PRICES, bad, good, content_type=STRATEGIC_MERGE_PATCH)


def _bad_env(_now: Json) -> Json:
    return {"env": [{"name": "SHOP_NAME", "value": "bench"}]}


def _bad_config(place: Place) -> Way:
    good = place.owner.get(CONFIG)["data"]
    return _patched(place.owner, CONFIG, {"data": {"prices.json": "{"}}, {"data": good})


def _bad_route(wrong: Json) -> Callable[[Place], Way]:
    def bare(place: Place) -> Way:
        routes = place.owner.get(ROUTE)["spec"]["routes"]
        bad = [route | wrong for route in routes]
        return _patched(
            place.owner, ROUTE, *({"spec": {"routes": given}} for given in (bad, routes))
        )

    return bare


def _movable(place: Place, node: str) -> list[Json]:
    """Pods of a node that a drain evicts."""
    pods = place.owner.get(f"/api/v1/pods?fieldSelector=spec.nodeName%3D{node}")["items"]
    return [
        pod
        for pod in pods
        if any(one["kind"] == "ReplicaSet" for one in pod["metadata"].get("ownerReferences", ()))
        and "deletionTimestamp" not in pod["metadata"]
    ]


def _drain(place: Place, node: str) -> Way:
    path = f"/api/v1/nodes/{node}"

    def drain() -> None:
        place.owner.patch(path, {"spec": {"unschedulable": True}})
        for pod in _movable(place, node):
            name = {key: pod["metadata"][key] for key in ("name", "namespace")}
            body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": name}
            where = f"/api/v1/namespaces/{name['namespace']}/pods/{name['name']}/eviction"
            place.owner.call("POST", where, body, JSON)

    return by_requests(drain, lambda: place.owner.patch(path, {"spec": {"unschedulable": None}}))


def cases(plan: Plan) -> list[Case]:
    """Every scenario with a hold, and then what happens once."""
    last = plan.control_plane_nodes[-1].name
    etcd, scheduler, manager = "etcd", "kube-scheduler", "kube-controller-manager"
    return [
        _static_pod("etcd member: hold", "etcd-member-down", etcd, node=last),
        _static_pod("scheduler: hold", "scheduler-down", scheduler),
        _static_pod("controller manager: hold", "controller-manager-down", manager),
        _static_pod("bad flag: scheduler", "bad-control-plane-flag", scheduler, node=last,
                    flag="unknown-scheduler-flag"),
        _cut("registry-unusable", "registry: cut"),
        _cut("envoy-control-plane-down", "Envoy's control plane: cut"),
        _scaled("registry-unusable", "registry: scaled", "registry/registry", mode="scale"),
        _scaled("envoy-control-plane-down", "Envoy's control plane: scaled",
                "projectcontour/contour", mode="scale"),
        _scaled("coredns-down", "CoreDNS: scaled", "kube-system/coredns"),
        _wrong("bad-image", lambda place: looks.RolledOut(place.owner, PRICES),
               lambda place: _container(place, lambda _now: {"image": "bench.invalid/none:1"})),
        _wrong("bad-env", lambda place: looks.RolledOut(place.owner, PRICES),
               lambda place: _container(place, _bad_env)),
        _wrong("bad-config",
               lambda place: looks.Field(place.owner, CONFIG, lambda found: found["data"]),
               _bad_config),
        _wrong("route-nowhere", lambda place: looks.Route(place.plan, "prices.qa.local"),
               _bad_route({"services": [{"name": "bench-nowhere", "port": 80}]})),
        _wrong("route-invalid", lambda place: looks.Route(place.plan, "prices.qa.local"),
               _bad_route({"conditions": [{"prefix": "bench-without-a-slash"}]})),
        Case(name="node drained", scenario="node-drained", parameters={"node": last},
             look=lambda place: looks.Drained(place.owner, last, lambda: _movable(place, last)),
             bare=lambda place: _drain(place, last), note=UNVERIFIED),
        _static_pod("etcd member: kill", "etcd-member-down", etcd, node=last, kill=True),
        _static_pod("API servers: kill", "api-servers-down", "kube-apiserver", kill=True),
        _static_pod("scheduler: kill", "scheduler-down", scheduler, kill=True),
        _static_pod("controller manager: kill", "controller-manager-down", manager, kill=True),
    ]  # fmt: skip
