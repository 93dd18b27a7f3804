"""A service that goes away in one of two ways: nobody reaches it, or nobody is there."""

from __future__ import annotations

from collections.abc import Mapping

from gamedays.scenarios.base import Parameter, Value, split_object
from gamedays.scenarios.meanwhile import meanwhile_of
from gamedays.scenarios.plan import FaultPlan, ObjectFault, ServiceCut

HOW = Parameter(
    name="mode",
    label="How it goes away",
    kind="choice",
    default="cut",
    choices=(
        ("cut", "Cut: the nodes drop the packets to it"),
        ("scale", "Scale: its Deployment is scaled to zero"),
    ),
    help="A cut ends by itself in each node's kernel, even with everything of ours dead.",
)


def service_parameter(default: str) -> Parameter:
    return Parameter(
        name="service",
        label="Service",
        kind="object",
        default=default,
        help="For a cut: the Service whose packets are dropped, as namespace/name.",
    )


def deployment_parameter(default: str) -> Parameter:
    return Parameter(
        name="deployment",
        label="Deployment",
        kind="object",
        default=default,
        help="For scaling: the Deployment that gets no replicas, as namespace/name.",
    )


def plan_of(parameters: Mapping[str, Value]) -> FaultPlan:
    if parameters["mode"] == "cut":
        namespace, name = split_object(parameters["service"])
        return FaultPlan(
            cuts=(ServiceCut(namespace=namespace, name=name),), meanwhile=meanwhile_of(parameters)
        )
    namespace, name = split_object(parameters["deployment"])
    return FaultPlan(
        objects=(
            ObjectFault(kind="deployment", namespace=namespace, name=name, change="scale-to-zero"),
        ),
        meanwhile=meanwhile_of(parameters),
    )
