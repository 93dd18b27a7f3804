"""What a scenario is: one file with typed, bounded parameters and the belief that it tests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from django.conf import settings

from core.errors import Invalid
from gamedays.scenarios.plan import Component, FaultPlan, NodeFault, PodName

if TYPE_CHECKING:
    from gamedays.choices import ProbeKind

Mark = Literal["bitten", "undo_asked", "undone", "restored", "ended"]
Value = str | int
_WORD = re.compile(r"[-._A-Za-z0-9]{1,253}")
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One thing that the person who books decides, with its bounds."""

    name: str
    label: str
    kind: Literal["seconds", "node", "choice", "object", "word"]
    """`object`: `namespace/name` of something in the cluster's API. `word`: the name of a part of
    it; may stay empty."""
    default: Value = ""
    minimum: int = 0
    maximum: int = 0
    choices: tuple[tuple[str, str], ...] = ()
    """`(value, label)` for kind `choice`; nodes come from the cluster."""
    unit: str = ""
    help: str = ""
    optional: bool = False
    """For kind `object`: may stay empty."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """From `start` + `grace_s` to `end`, both marks of the run."""

    start: Mark
    end: Mark
    grace_s: int = 0


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """A part of the hypothesis that can be measured: a share of attempts that must pass."""

    key: str
    title: str
    broken_title: str
    """What a finding about it is called."""
    probe_kind: ProbeKind
    whole_cluster_only: bool = True
    """Judge only probes without a target node: one node's own server is expected to suffer."""
    min_passed_share: float
    window: Window
    required: bool = True
    """Without a probe of that kind the run is inconclusive; otherwise it is not asked for."""


@dataclass(frozen=True, kw_only=True)
class ComponentState:
    """One component on one node, as its guard saw it."""

    running: bool
    healthy: bool | None
    has_leader: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ClusterState:
    """What a scenario's own preflight may look at: per node, per component."""

    nodes: Mapping[str, Mapping[str, ComponentState]]


def not_healthy(what: str, parts: Mapping[str, ComponentState]) -> list[str]:
    """`parts`: node → component. Those that are ill and those that nobody could look at, told
    apart: neither lets a fault begin, and only the first is something to mend."""
    ill = sorted(node for node, part in parts.items() if part.healthy is False)
    unseen = sorted(node for node, part in parts.items() if part.healthy is None)
    problems = []
    if ill:
        begin = f"T{what[1:]}" if what.startswith("the ") else what
        problems.append(f"{begin} is not healthy on {', '.join(ill)}; mend it first.")
    if unseen:
        problems.append(
            f"Nobody could look whether {what} is healthy on {', '.join(unseen)}: unknown is not "
            "steady. Look whether the guard there is hindered, then start again."
        )
    return problems


@dataclass(frozen=True)
class Reading:
    title: str
    source: str


class Scenario:
    """Base of all scenarios. A subclass fills the class variables and the three methods.

    `version` rises whenever what is done or judged changes: a proof counts for its version only.
    """

    key: ClassVar[str]
    version: ClassVar[int]
    title: ClassVar[str]
    summary: ClassVar[str]
    hypothesis: ClassVar[str]
    finding_example: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]]
    reading: ClassVar[tuple[Reading, ...]]
    recovery_budget_s: ClassVar[int]
    """From the undo to the proof, before the run counts as stuck and alarms."""
    judges_pods: ClassVar[bool] = True
    pods_back_s: ClassVar[int] = 60
    """Every pod must be ready again so soon after the restore; later is a finding."""
    mass_termination_share: ClassVar[float] = 0.2
    """Of the pods that were not meant to die: from here on it is an alarm of its own."""
    icon: ClassVar[str] = "bolt"
    least_control_plane: ClassVar[int] = 1
    """With fewer control-plane nodes in reach it can never run, whatever their state is."""

    def why_not_here(self, nodes: Sequence[str]) -> str:
        """Why a cluster with these control-plane nodes can never run it; empty: it can.

        What may change from day to day is for `preflight`.
        """
        if not nodes:
            return (
                "This cluster's control plane is out of reach: no guard can stand there, and "
                "without one nothing would undo the fault."
            )
        if len(nodes) < self.least_control_plane:
            return (
                f"It needs {self.least_control_plane} control-plane nodes; this cluster has "
                f"{len(nodes)}."
            )
        return ""

    def plan(self, parameters: Mapping[str, Value], nodes: Sequence[str]) -> FaultPlan:
        """What is to be done, in names. `nodes` are the control-plane nodes' names."""
        raise NotImplementedError

    def expectations(self, parameters: Mapping[str, Value]) -> tuple[Expectation, ...]:
        raise NotImplementedError

    def preflight(self, parameters: Mapping[str, Value], state: ClusterState) -> list[str]:
        """Reasons not to begin, as sentences for people; empty: go."""
        raise NotImplementedError

    def expects_death(self, pod: PodName, faults: Mapping[str, NodeFault]) -> bool:
        """Whether the fault itself ends that pod, so that nobody is surprised."""
        return any(fault.takes(node, pod) for node, fault in faults.items())

    def clean(self, given: Mapping[str, object], nodes: Sequence[str]) -> dict[str, Value]:
        """Typed parameters with defaults filled in; `Invalid` lists every wrong one at once."""
        errors: dict[str, str] = {}
        known = {parameter.name for parameter in self.parameters}
        for name in sorted(set(given) - known):
            errors[name] = f"{self.title} has no parameter {name!r}."
        values: dict[str, Value] = {}
        for parameter in self.parameters:
            try:
                values[parameter.name] = _clean(parameter, given.get(parameter.name), nodes)
            except ValueError as error:
                errors[parameter.name] = str(error)
        if errors:
            first = next(iter(errors))
            code = "unknown_parameter" if set(errors) - known else "parameter_out_of_bounds"
            raise Invalid(errors[first], code=code, field=first, errors=errors)
        return values

    def node_fault(self, component: Component, parameters: Mapping[str, Value]) -> NodeFault:
        """The fault that the parameters `mode` and `hold_s` ask for."""
        return NodeFault(
            kind="kill" if parameters["mode"] == "kill" else "hold",
            component=component,
            hold_s=self.hold_s(parameters),
        )

    def hold_s(self, parameters: Mapping[str, Value]) -> int:
        return int(parameters["hold_s"])

    def observe_s(self, parameters: Mapping[str, Value]) -> int:
        return int(parameters["observe_s"])

    def worst_case_s(self, parameters: Mapping[str, Value]) -> int:
        """Seconds that a booking must leave: hold, recovery budget, watching."""
        return self.hold_s(parameters) + self.recovery_budget_s + self.observe_s(parameters)


MODE = Parameter(
    name="mode",
    label="How it goes away",
    kind="choice",
    default="hold",
    choices=(("hold", "Hold: gone until the hold ends"), ("kill", "Kill once: it may come back")),
    help=(
        "Hold moves its manifest away and ends the process at once. Kill only ends the process, "
        "and the hold is how long we watch it come back."
    ),
)
OBSERVE = Parameter(
    name="observe_s",
    label="Watch afterwards",
    kind="seconds",
    default=300,
    minimum=settings.BELAY_OBSERVE_MIN_S,
    maximum=1800,
    unit="seconds",
    help="How long we go on looking once it is back. Evictions and crash loops come late.",
)


def hold_parameter(
    *, default: int, maximum: int = 600, help_text: str = "How long the fault lasts."
) -> Parameter:
    return Parameter(
        name="hold_s",
        label="Hold",
        kind="seconds",
        default=default,
        minimum=5,
        maximum=maximum,
        unit="seconds",
        help=help_text,
    )


def _clean(parameter: Parameter, given: object, nodes: Sequence[str]) -> Value:
    if parameter.kind == "seconds":
        return _clean_seconds(parameter, parameter.default if given is None else given)
    if given is None or given == "":
        given = parameter.default
    if parameter.kind == "node":
        if given not in nodes:
            raise ValueError(
                f"{parameter.label}: {given!r} is no control-plane node of this cluster; "
                f"choose one of {', '.join(nodes) or 'none: no node is known'}."
            )
        return str(given)
    if parameter.kind == "object":
        if parameter.optional and not str(given).strip():
            return ""
        return _clean_object(parameter, str(given).strip())
    if parameter.kind == "word":
        word = str(given).strip()
        if word and not _WORD.fullmatch(word):
            raise ValueError(
                f"{parameter.label}: {word[:60]!r} is no name; use letters, digits and - _ . only."
            )
        return word
    values = [value for value, _label in parameter.choices]
    if given not in values:
        raise ValueError(f"{parameter.label}: {given!r} is none of {', '.join(values)}.")
    return str(given)


def _clean_seconds(parameter: Parameter, given: object) -> int:
    """Emptied is not left out: no fault lasts for as long as nobody said."""
    if given == "":
        raise ValueError(
            f"{parameter.label}: give {parameter.minimum} to {parameter.maximum} seconds."
        )
    try:
        number = int(str(given))
    except ValueError:
        raise ValueError(f"{parameter.label}: {given!r} is no number of seconds.") from None
    if not parameter.minimum <= number <= parameter.maximum:
        raise ValueError(
            f"{parameter.label}: {number} s is out of bounds; "
            f"choose {parameter.minimum} to {parameter.maximum} s."
        )
    return number


def _clean_object(parameter: Parameter, given: str) -> str:
    """`namespace/name`: a DNS label and a DNS name (RFC 1123), as the API has them."""
    namespace, slash, name = given.partition("/")
    good = _LABEL.fullmatch(namespace) and len(name) <= 253
    if not slash or not good or not all(_LABEL.fullmatch(part) for part in name.split(".")):
        raise ValueError(
            f"{parameter.label}: {given!r} is no object; write namespace/name, like shop/prices."
        )
    return given


def split_object(value: Value) -> tuple[str, str]:
    """Namespace and name of a cleaned `object` parameter."""
    namespace, _slash, name = str(value).partition("/")
    return namespace, name
