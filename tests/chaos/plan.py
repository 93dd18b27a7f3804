"""What is broken and who dies when, drawn from a seed: the same seed is the same plan.

Faults and strikes are two sequences. A run that was refused (its conductor was killed before
anything was armed) leaves its fault for the next strikes, so that every family really is injected
as often as planned.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

HOLD_S = (6, 14)
"""Least and longest hold."""
OBSERVE_S = 10
"""The least that the stacks under test allow."""
BESIDE_EVERY = 16
"""One fault in so many is of no seed family."""
RANDOM_WITHIN_S = 30.0
"""A strike at a random time falls so soon after the start; a run without trouble takes as long."""
STOPPED_S = (1.0, 25.0)
"""How long a stopped process stays stopped: from a hiccup to well past the row lease of 15 s."""
SECOND_STRIKE = 0.5
"""Share of runs with a strike at a random time beside the one that the cell asks for."""


class Family(StrEnum):
    """The seed families, and what is made beside them."""

    ETCD = "etcd member down"
    CONFIGURATION = "wrong configuration"
    API = "all API servers down"
    REGISTRY = "registry unusable"
    ENVOY = "Envoy's control plane away"
    BESIDE = "other components"


SEED_FAMILIES = tuple(family for family in Family if family is not Family.BESIDE)


class Process(StrEnum):
    """Who dies. The guards' two are those of one node."""

    POSTGRES = "postgres"
    REDIS = "redis"
    WEB = "web"
    WORKER_DEFAULT = "worker-default"
    WORKER_FAULTS = "worker-faults"
    BEAT = "beat"
    WATCHDOG = "watchdog"
    GUARD = "guard"
    GUARD_PARENT = "guard-parent"


GUARDS = (Process.GUARD, Process.GUARD_PARENT)
PROGRAMS = tuple(process.value for process in Process if process not in GUARDS)

STATES = (
    "planned", "preflight", "arming", "armed", "injecting",
    "active", "undoing", "verifying", "observing", "clean",
)  # fmt: skip
"""Those that every run without trouble goes through, in their order."""

Cell = tuple[str, Process]
CELLS: tuple[Cell, ...] = tuple((state, process) for state in STATES for process in Process)


class Way(StrEnum):
    KILL = "kill"
    STOP = "stop"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One item of a gameday's agenda. `nodes`: whose guards get the order; empty: all."""

    family: Family
    scenario: str
    parameters: Mapping[str, str | int]
    nodes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What a guard does for it: hold, kill, flag, cut or object."""
        if "flag" in self.parameters:
            return "flag"
        mode = str(self.parameters.get("mode", "object"))
        return "object" if mode == "scale" else mode

    @property
    def mode(self) -> str:
        """How it is broken, in a word or two."""
        words = ("mode", "flag", "change", "node")
        return " ".join(str(self.parameters[word]) for word in words if word in self.parameters)


@dataclass(frozen=True, kw_only=True)
class Strike:
    """One signal to one process: on entering `state`, or `after_s` seconds after the start."""

    process: Process
    way: Way
    state: str = ""
    after_s: float = 0.0
    stopped_s: float = 0.0
    """For `stop`: until it is continued."""
    draw: int = 0
    """Which of the target nodes' guards, where it is a guard's; and see `into_state_s`."""

    @property
    def into_state_s(self) -> float:
        """How far into its state it falls. Half of those on `injecting` come right after the commit
        and before any effect, the others up to 0.3 s later, when guards may have struck."""
        late = self.state == "injecting" and self.draw % 2
        return self.draw * 0.003 if late else 0.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`faults` in their order, and the strikes of each run."""

    seed: int
    faults: tuple[Fault, ...]
    strikes: tuple[tuple[Strike, ...], ...]


def make_plan(*, injections: int, seed: int, nodes: Sequence[str]) -> Plan:
    """A plan for so many runs on a cluster with these control-plane nodes."""
    dice = random.Random(seed)  # noqa: S311  to be repeated, not to be secret
    faults = _faults(injections, nodes, dice)
    strikes = tuple(_strikes(cell, dice) for cell in _cells(injections, dice))
    return Plan(seed=seed, faults=faults, strikes=strikes)


def more_strikes(cells: Sequence[Cell], *, seed: int, number: int) -> tuple[Strike, ...]:
    """The strikes of run `number` beyond the plan, on one of the cells that nobody met yet."""
    dice = random.Random(f"{seed}/{number}")  # noqa: S311  to be repeated, not to be secret
    return _strikes(dice.choice(cells or CELLS), dice)


def _cells(count: int, dice: random.Random) -> list[Cell]:
    """State × process along the diagonal: ten in a row have every state, nine every process, and
    as 9 and 10 have no common divisor, ninety are all cells."""
    states, processes = list(STATES), list(Process)
    dice.shuffle(states)
    dice.shuffle(processes)
    return [(states[i % len(states)], processes[i % len(processes)]) for i in range(count)]


def _strikes(cell: Cell, dice: random.Random) -> tuple[Strike, ...]:
    state, process = cell
    first = Strike(process=process, way=Way.KILL, state=state, draw=dice.randrange(100))
    if dice.random() >= SECOND_STRIKE:
        return (first,)
    way = dice.choice(tuple(Way))
    second = Strike(
        process=dice.choice(tuple(Process)),
        way=way,
        after_s=round(dice.uniform(0.5, RANDOM_WITHIN_S), 1),
        stopped_s=round(dice.uniform(*STOPPED_S), 1) if way is Way.STOP else 0.0,
        draw=dice.randrange(100),
    )
    return (first, second)


def _faults(count: int, nodes: Sequence[str], dice: random.Random) -> tuple[Fault, ...]:
    """Families in shuffled rounds, so that none meets the same states again and again."""
    families: list[Family] = []
    while len(families) < count:
        families += dice.sample(SEED_FAMILIES, len(SEED_FAMILIES))
    for index in range(BESIDE_EVERY - 1, count, BESIDE_EVERY):
        families.insert(index, Family.BESIDE)
    turns = dict.fromkeys(Family, 0)
    made = []
    for family in families[:count]:
        made.append(_fault(family, turns[family], nodes, dice))
        turns[family] += 1
    return tuple(made)


_Variants = tuple[tuple[str, dict[str, str | int]], ...]
_BAD_FLAG, _WRONG = "bad-control-plane-flag", "wrong-configuration"
VARIANTS: dict[Family, _Variants] = {
    Family.ETCD: (
        ("etcd-member-down", {"mode": "kill", "node": ""}),
        ("etcd-member-down", {"mode": "hold", "node": ""}),
    ),
    Family.CONFIGURATION: (
        (_BAD_FLAG, {"flag": "unknown-scheduler-flag", "node": ""}),
        (_WRONG, {"change": "bad-image", "target": "shop/prices"}),
        (_BAD_FLAG, {"flag": "unknown-apiserver-flag", "node": ""}),
        (_WRONG, {"change": "bad-config", "target": "shop/prices"}),
        (_BAD_FLAG, {"flag": "unknown-controller-manager-flag", "node": ""}),
        (_WRONG, {"change": "route-nowhere", "target": "shop/vouchers"}),
        (_BAD_FLAG, {"flag": "etcd-elsewhere", "node": ""}),
        (_WRONG, {"change": "bad-env", "target": "shop/prices", "part": "SHOP_ADDR"}),
        (_WRONG, {"change": "route-invalid", "target": "shop/vouchers"}),
    ),
    Family.API: (
        ("api-servers-down", {"mode": "hold"}),
        ("api-servers-down", {"mode": "kill"}),
    ),
    Family.REGISTRY: (
        ("registry-unusable", {"mode": "cut"}),
        ("registry-unusable", {"mode": "scale"}),
    ),
    Family.ENVOY: (
        ("envoy-control-plane-down", {"mode": "cut"}),
        ("envoy-control-plane-down", {"mode": "scale"}),
    ),
    Family.BESIDE: (
        ("scheduler-down", {"mode": "hold"}),
        ("controller-manager-down", {"mode": "hold"}),
        ("coredns-down", {}),
        ("scheduler-down", {"mode": "kill"}),
        ("controller-manager-down", {"mode": "kill"}),
    ),
}
"""Scenario and parameters of each way, taken in turn. An empty `node` is drawn."""


def _fault(family: Family, turn: int, nodes: Sequence[str], dice: random.Random) -> Fault:
    ways = VARIANTS[family]
    scenario, given = ways[turn % len(ways)]
    parameters: dict[str, str | int] = dict(given)
    if "node" in parameters:
        parameters["node"] = dice.choice(list(nodes))
    parameters |= {"hold_s": dice.randint(*HOLD_S), "observe_s": OBSERVE_S}
    return Fault(
        family=family, scenario=scenario, parameters=parameters, nodes=_targets(parameters, nodes)
    )


def _targets(parameters: Mapping[str, str | int], nodes: Sequence[str]) -> tuple[str, ...]:
    """Where a guard gets the order: the named node, the first one for an API object, or all."""
    if "node" in parameters:
        return (str(parameters["node"]),)
    return (nodes[0],) if parameters.get("mode", "scale") == "scale" else tuple(nodes)
