"""The agenda of a booking form: scenarios in an order, each with typed parameters.

The form works without JavaScript: *Add*, *Remove* and *Move up* are submit buttons that send the
whole form and get it back, changed, with everything that was typed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gamedays.operations.bookings import AGENDA_MAX, AgendaDraft
from gamedays.scenarios.registry import all_scenarios
from gamedays.selectors.words import scenario_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gamedays.scenarios.base import Parameter, Scenario


@dataclass(slots=True)
class Field:
    """One parameter as it stands in the form, with its complaint."""

    parameter: Parameter
    name: str
    value: str
    options: Sequence[tuple[str, str]]
    error: str = ""


@dataclass(slots=True)
class Item:
    """One scenario of the agenda as it stands in the form."""

    position: int
    scenario: Scenario
    values: dict[str, str]
    nodes: Sequence[str]
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> list[Field]:
        return [
            Field(
                parameter=parameter,
                name=f"agenda-{self.position}-{parameter.name}",
                value=self.values.get(parameter.name, str(parameter.default)),
                options=_options(parameter, self.nodes),
                error=self.errors.get(parameter.name, ""),
            )
            for parameter in self.scenario.parameters
        ]

    @property
    def draft(self) -> AgendaDraft:
        return AgendaDraft(scenario_key=self.scenario.key, parameters=dict(self.values))

    @property
    def other_errors(self) -> list[str]:
        """Complaints that stand beside no field of this scenario."""
        names = {parameter.name for parameter in self.scenario.parameters}
        return [text for name, text in self.errors.items() if name not in names]


def read_agenda(data: Mapping[str, str], nodes: Sequence[str]) -> list[Item]:
    """The agenda that was sent, after the button that changes it, if one was pressed."""
    rows: list[tuple[Scenario, dict[str, str]]] = []
    for position in range(AGENDA_MAX):
        key = data.get(f"agenda-{position}-scenario")
        scenario = scenario_or_none(key) if key else None
        if scenario is None:
            continue
        rows.append((scenario, _values(data, position, scenario)))
    added = scenario_or_none(data.get("add", ""))
    if added is not None and len(rows) < AGENDA_MAX:
        rows.append((added, {}))
    gone = data.get("remove", "")
    if gone.isdecimal() and int(gone) < len(rows):
        rows.pop(int(gone))
    up = data.get("up", "")
    if up.isdecimal() and 0 < int(up) < len(rows):
        rows.insert(int(up) - 1, rows.pop(int(up)))
    return [
        Item(position, scenario, values, nodes) for position, (scenario, values) in enumerate(rows)
    ]


def put_errors(items: list[Item], errors: Mapping[str, str]) -> None:
    """Hand each `agenda.<index>.<parameter>` complaint to its field."""
    for name, text in errors.items():
        head, _, rest = name.partition(".")
        index, _, parameter = rest.partition(".")
        if head == "agenda" and index.isdecimal() and int(index) < len(items):
            items[int(index)].errors[parameter or "agenda"] = text


@dataclass(frozen=True, slots=True)
class Offer:
    """A scenario that can be added, or why it never can be on the chosen cluster."""

    scenario: Scenario
    why_not: str


def catalogue(nodes: Sequence[str], *, cluster_chosen: bool) -> list[Offer]:
    """Every scenario. Before a cluster is chosen nothing is ruled out."""
    return [
        Offer(scenario, scenario.why_not_here(nodes) if cluster_chosen else "")
        for scenario in all_scenarios()
    ]


def _values(data: Mapping[str, str], position: int, scenario: Scenario) -> dict[str, str]:
    values = {}
    for parameter in scenario.parameters:
        given = data.get(f"agenda-{position}-{parameter.name}")
        if given is not None:
            values[parameter.name] = given.strip()
    return values


def _options(parameter: Parameter, nodes: Sequence[str]) -> Sequence[tuple[str, str]]:
    if parameter.kind == "node":
        return [(node, node) for node in nodes]
    return parameter.choices
