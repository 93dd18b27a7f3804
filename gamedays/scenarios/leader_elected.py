"""What the scheduler and the controller manager have in common: one works, the others wait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from gamedays.choices import ProbeKind
from gamedays.scenarios.base import (
    MODE,
    OBSERVE,
    ClusterState,
    Expectation,
    Scenario,
    Value,
    Window,
    hold_parameter,
    not_healthy,
)
from gamedays.scenarios.plan import Component, FaultPlan


class LeaderElectedDown(Scenario):
    """Taken away on every control-plane node: on one alone, another would only become leader."""

    component: ClassVar[Component]
    name: ClassVar[str]
    """In the middle of a sentence."""
    parameters = (MODE, hold_parameter(default=60), OBSERVE)
    recovery_budget_s = 180

    def plan(self, parameters: Mapping[str, Value], nodes: Sequence[str]) -> FaultPlan:
        fault = self.node_fault(self.component, parameters)
        return FaultPlan(nodes=dict.fromkeys(nodes, fault))

    def expectations(self, parameters: Mapping[str, Value]) -> tuple[Expectation, ...]:
        return (
            Expectation(
                key="traffic",
                title="Users' requests do not notice",
                broken_title=f"Users' requests fail while the {self.name} is away",
                probe_kind=ProbeKind.HTTP,
                min_passed_share=0.99,
                window=Window(start="bitten", end="ended"),
            ),
            Expectation(
                key="api-writes",
                title="The API takes writes all the same",
                broken_title=f"API writes fail while the {self.name} is away",
                probe_kind=ProbeKind.CANARY_WRITE,
                min_passed_share=0.99,
                window=Window(start="bitten", end="ended"),
            ),
        )

    def preflight(self, parameters: Mapping[str, Value], state: ClusterState) -> list[str]:
        problems = []
        running = {}
        for node, parts in sorted(state.nodes.items()):
            part = parts.get(self.component)
            if part is None or not part.running:
                problems.append(f"No {self.component} runs on {node}.")
            else:
                running[node] = part
        return problems + not_healthy(f"the {self.name}", running)
