"""A wrong configuration is applied; what ran before must go on serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from gamedays.choices import ProbeKind
from gamedays.scenarios.base import (
    OBSERVE,
    ClusterState,
    Expectation,
    Parameter,
    Reading,
    Scenario,
    Value,
    Window,
    hold_parameter,
    split_object,
)
from gamedays.scenarios.plan import FaultPlan, ObjectChange, ObjectFault, ObjectKind

_KINDS: dict[str, ObjectKind] = {
    "bad-image": "deployment",
    "bad-env": "deployment",
    "bad-config": "config-map",
    "route-nowhere": "http-proxy",
    "route-invalid": "http-proxy",
}


class WrongConfiguration(Scenario):
    key = "wrong-configuration"
    version = 1
    title = "Wrong configuration"
    summary = "Makes one wrong change to one object, as a hurried person would, and takes it back."
    hypothesis = (
        "A wrong configuration stops by itself: new pods that cannot become ready replace no old "
        "ones, an application refuses a configuration that it cannot read, a route that is wrong "
        "is rejected, and somebody is told. No user notices."
    )
    finding_example = (
        "Users of one host got errors from the moment its route pointed to a service that does not "
        "exist, and nothing told anybody before they did."
    )
    parameters = (
        Parameter(
            name="change",
            label="What is wrong",
            kind="choice",
            default="bad-image",
            choices=(
                ("bad-image", "Deployment: an image that cannot be pulled"),
                ("bad-env", "Deployment: an environment variable that makes no sense"),
                ("bad-config", "ConfigMap: an entry that cannot be read"),
                ("route-nowhere", "HTTPProxy: every route to a service that does not exist"),
                ("route-invalid", "HTTPProxy: routes that Contour calls invalid"),
            ),
            help="One change to one object. The wrong values are fixed; they name Belay.",
        ),
        Parameter(
            name="target",
            label="Object",
            kind="object",
            help="The Deployment, ConfigMap or HTTPProxy that is changed.",
        ),
        Parameter(
            name="part",
            label="Which part of it",
            kind="word",
            help="The container, the environment variable or the ConfigMap's entry. May stay "
            "empty where there is only one; routes have none.",
        ),
        hold_parameter(default=60),
        OBSERVE,
    )
    reading = (
        Reading(
            "Kubernetes: Failed Deployment",
            "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/",
        ),
        Reading(
            "Kubernetes: ConfigMaps are updated automatically",
            "https://kubernetes.io/docs/concepts/configuration/configmap/",
        ),
        Reading(
            "Contour: HTTPProxy fundamentals and its status",
            "https://projectcontour.io/docs/main/config/fundamentals/",
        ),
    )
    recovery_budget_s = 180
    icon = "pencil"

    def plan(self, parameters: Mapping[str, Value], nodes: Sequence[str]) -> FaultPlan:
        change = cast("ObjectChange", parameters["change"])
        namespace, name = split_object(parameters["target"])
        return FaultPlan(
            objects=(
                ObjectFault(
                    kind=_KINDS[change],
                    namespace=namespace,
                    name=name,
                    change=change,
                    key=str(parameters["part"]),
                ),
            )
        )

    def expectations(self, parameters: Mapping[str, Value]) -> tuple[Expectation, ...]:
        return (
            Expectation(
                key="traffic",
                title="Users' requests do not notice the wrong configuration",
                broken_title="Users' requests fail because of one wrong configuration",
                probe_kind=ProbeKind.HTTP,
                min_passed_share=0.99,
                window=Window(start="bitten", end="restored"),
            ),
            Expectation(
                key="traffic-after",
                title="Users' requests are served once it is taken back",
                broken_title="Users' requests still fail after the configuration was taken back",
                probe_kind=ProbeKind.HTTP,
                min_passed_share=0.99,
                window=Window(start="restored", end="ended", grace_s=2),
            ),
        )

    def preflight(self, parameters: Mapping[str, Value], state: ClusterState) -> list[str]:
        if _KINDS[str(parameters["change"])] == "http-proxy" and parameters["part"]:
            return [f"A route has no part {parameters['part']!r}; leave that field empty."]
        return []
