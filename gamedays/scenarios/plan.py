"""What a scenario asks for, as pure data, and what becomes of it in the recipe.

A plan speaks of components and of names (`registry/registry`). The engine resolves the names on
the living cluster before anything is touched, and what it found - addresses, UIDs, versions - is
the recipe: per node, what that node's guard is asked to do. A guard validates all of it again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["hold", "kill", "flag", "cut", "object", "drill"]
Component = Literal["kube-apiserver", "etcd", "kube-scheduler", "kube-controller-manager"]
BadFlag = Literal[
    "etcd-elsewhere",
    "unknown-apiserver-flag",
    "unknown-scheduler-flag",
    "unknown-controller-manager-flag",
]
ObjectKind = Literal["deployment", "config-map", "http-proxy", "node", "pod"]
"""There is no word for a Secret here, in the engine or in a guard."""
ObjectChange = Literal[
    "scale-to-zero",
    "bad-image",
    "bad-env",
    "bad-config",
    "route-nowhere",
    "route-invalid",
    "cordon",
    "evict",
    "delete-pod",
]


Belief = Literal["starts", "waits-for-image"]
"""Of the pod that comes in place of one that ended: it is ready while the fault is still live, or
it says that it cannot pull its image, and comes up by itself once that can be pulled again."""


@dataclass(frozen=True, kw_only=True, order=True)
class Endpoint:
    """One address and TCP port that packets go to."""

    address: str
    port: int


@dataclass(frozen=True, kw_only=True)
class ObjectTarget:
    """One object of the API as it was found: a change is bound to exactly this version of it."""

    kind: ObjectKind
    namespace: str
    """Empty for what has none (a node)."""
    name: str
    uid: str
    resource_version: str
    change: ObjectChange
    key: str = ""
    """Which container, environment variable or ConfigMap entry."""


@dataclass(frozen=True, kw_only=True)
class PodName:
    """One pod of the ledger."""

    node: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, kw_only=True)
class NodeFault:
    """What one node's guard is asked to do."""

    kind: Kind
    hold_s: int
    """Seconds."""
    component: Component | None = None
    flag: BadFlag | None = None
    endpoints: tuple[Endpoint, ...] = ()
    objects: tuple[ObjectTarget, ...] = ()

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> NodeFault:
        """The fault as a recipe holds it; recipes of older versions lack the newer fields."""
        return cls(
            kind=data["kind"],
            hold_s=data["hold_s"],
            component=data.get("component"),
            flag=data.get("flag"),
            endpoints=tuple(Endpoint(**each) for each in data.get("endpoints", ())),
            objects=tuple(ObjectTarget(**each) for each in data.get("objects", ())),
        )

    def as_data(self) -> dict[str, Any]:
        data = dataclasses.asdict(self)
        return data | {"endpoints": list(data["endpoints"]), "objects": list(data["objects"])}

    def takes(self, node: str, pod: PodName) -> bool:
        """Whether this fault on `node` itself is what ends that pod."""
        if self.component and pod.node == node:
            return pod.name == f"{self.component}-{node}"
        return any(_ends(target, pod) for target in self.objects)

    @property
    def sentence(self) -> str:
        """What it does, for people: `hold of etcd`."""
        if self.kind == "cut":
            places = ", ".join(f"{each.address}:{each.port}" for each in self.endpoints)
            return f"packets to {places} dropped"
        if self.kind == "object":
            return ", ".join(
                f"{each.change} of {each.kind} {_named(each.namespace, each.name)}"
                for each in self.objects
            )
        if self.kind == "flag":
            return f"bad flag ({self.flag}) for {self.component}"
        if self.kind == "drill":
            return "a harmless drill"
        return f"{self.kind} of {self.component}"


def faults_of(recipe: Mapping[str, Any]) -> dict[str, NodeFault]:
    """Node → fault of a committed recipe; empty before there is one."""
    return {node: NodeFault.from_data(fault) for node, fault in recipe.get("faults", {}).items()}


@dataclass(frozen=True, kw_only=True)
class ServiceCut:
    """Drop the packets to a Service, on every node that has a guard."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return _named(self.namespace, self.name)


@dataclass(frozen=True, kw_only=True)
class ObjectFault:
    """Change what a name stands for; where `select` says so, that is more than one object."""

    kind: ObjectKind
    namespace: str
    name: str
    change: ObjectChange
    key: str = ""
    select: Literal["", "one-pod-of", "pods-of", "pods-on"] = ""
    """Kind `pod` only: `name` is a Deployment (`…-of`) or a node (`pods-on`)."""

    def __str__(self) -> str:
        return _named(self.namespace, self.name)


@dataclass(frozen=True, kw_only=True)
class Meanwhile:
    """What is bound to happen some day while the fault is live, and is made to: one ready pod of
    a Deployment ends. No second fault: the hypothesis says what becomes of it."""

    key: str
    """Of the parameter that asked for it."""
    namespace: str
    name: str
    belief: Belief

    def __str__(self) -> str:
        return _named(self.namespace, self.name)


@dataclass(frozen=True, kw_only=True)
class Happening:
    """A `Meanwhile` as it was resolved and committed: exactly this pod."""

    key: str
    belief: Belief
    target: ObjectTarget

    @property
    def pod(self) -> str:
        return _named(self.target.namespace, self.target.name)

    def as_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def happenings_of(recipe: Mapping[str, Any]) -> tuple[Happening, ...]:
    """What a committed recipe lets happen while the fault is live; mostly nothing."""
    return tuple(
        Happening(key=each["key"], belief=each["belief"], target=ObjectTarget(**each["target"]))
        for each in recipe.get("meanwhile", ())
    )


@dataclass(frozen=True, kw_only=True)
class FaultPlan:
    """One fault: components on nodes, or cuts, or changes of objects. Never two kinds at once,
    or a cause could not be told."""

    nodes: Mapping[str, NodeFault] = field(default_factory=dict)
    cuts: tuple[ServiceCut, ...] = ()
    objects: tuple[ObjectFault, ...] = ()
    meanwhile: tuple[Meanwhile, ...] = ()

    def __post_init__(self) -> None:
        parts = [part for part in (self.nodes, self.cuts, self.objects) if part]
        if len(parts) != 1:
            raise ValueError(
                f"a plan holds nodes, cuts or objects, exactly one of them; this one holds "
                f"{len(parts)}"
            )


def _ends(target: ObjectTarget, pod: PodName) -> bool:
    if target.change in ("evict", "delete-pod"):
        return target.uid == pod.uid
    if target.change == "scale-to-zero" and target.namespace == pod.namespace:
        # A Deployment's pods are called <deployment>-<hash of the template>-<random>.
        return pod.name.rpartition("-")[0].rpartition("-")[0] == target.name
    return False


def _named(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name
