"""What scenarios ask for, as data: into the recipe, and out of it again."""

from __future__ import annotations

import json

import pytest

from core.errors import Invalid
from gamedays.scenarios.base import Parameter, Scenario, split_object
from gamedays.scenarios.plan import (
    Endpoint,
    FaultPlan,
    NodeFault,
    ObjectTarget,
    ServiceCut,
    faults_of,
)
from gamedays.scenarios.registry import all_scenarios
from tests.people import NODES

_TARGET = ObjectTarget(
    kind="deployment",
    namespace="shop",
    name="prices",
    uid="u",
    resource_version="7",
    change="scale-to-zero",
)


@pytest.mark.parametrize(
    "fault",
    [
        NodeFault(kind="hold", hold_s=60, component="etcd"),
        NodeFault(kind="cut", hold_s=60, endpoints=(Endpoint(address="10.0.0.1", port=5000),)),
        NodeFault(kind="object", hold_s=60, objects=(_TARGET,)),
    ],
)
def test_a_fault_comes_out_of_the_stored_recipe_as_it_went_in(fault: NodeFault) -> None:
    stored = json.loads(json.dumps({"faults": {"qa-1": fault.as_data()}}))
    assert faults_of(stored) == {"qa-1": fault}
    assert fault.sentence


def test_a_recipe_of_an_older_version_is_still_read() -> None:
    old = {"faults": {"qa-1": {"kind": "hold", "component": "etcd", "hold_s": 60}}}
    assert faults_of(old) == {"qa-1": NodeFault(kind="hold", hold_s=60, component="etcd")}


def test_two_kinds_of_fault_at_once_are_no_plan() -> None:
    fault = NodeFault(kind="kill", hold_s=60, component="etcd")
    cut = ServiceCut(namespace="registry", name="registry")
    with pytest.raises(ValueError, match="exactly one"):
        FaultPlan(nodes={"qa-1": fault}, cuts=(cut,))
    with pytest.raises(ValueError, match="exactly one"):
        FaultPlan()


def _needs_an_object(parameter: Parameter) -> bool:
    return parameter.kind == "object" and not parameter.default


@pytest.mark.parametrize("scenario", all_scenarios(), ids=lambda s: s.key)
def test_every_scenario_plans_and_believes_something(scenario: Scenario) -> None:
    given = {p.name: NODES[1] for p in scenario.parameters if p.kind == "node"}
    given |= {p.name: "shop/prices" for p in scenario.parameters if _needs_an_object(p)}
    values = scenario.clean(given, NODES)
    plan = scenario.plan(values, NODES)
    assert plan.nodes or plan.cuts or plan.objects
    assert scenario.expectations(values)
    assert scenario.reading
    assert scenario.worst_case_s(values) >= scenario.hold_s(values) + 20


class _OfAnObject(Scenario):
    key = "x"
    title = "X"
    parameters = (Parameter(name="object", label="Deployment", kind="object"),)


def test_an_object_is_named_by_namespace_and_name() -> None:
    values = _OfAnObject().clean({"object": " shop/prices.v2 "}, NODES)
    assert split_object(values["object"]) == ("shop", "prices.v2")


@pytest.mark.parametrize(
    "given",
    ["prices", "shop/", "/prices", "Shop/prices", "shop/a/b", "shop/..", "", f"a/{'b' * 254}"],
)
def test_anything_else_is_refused_with_what_was_given(given: str) -> None:
    with pytest.raises(Invalid, match="namespace/name") as refused:
        _OfAnObject().clean({"object": given}, NODES)
    assert refused.value.field == "object"
