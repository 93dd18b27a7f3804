"""What goes wrong, as data: events that wait for a state of the row and then for a while."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gamedays.choices import FINAL, InjectionState
from tests.people import API, ETCD

Given = tuple[tuple[str, str], ...]
"""Parameters of a scenario, beside its times."""
HOLD: Given = (("mode", "hold"),)
KILL: Given = (("mode", "kill"),)
CUT: Given = (("mode", "cut"),)
FLAG = "bad-control-plane-flag"
PRICES = ("target", "shop/prices")
WRONG = "wrong-configuration"
OBJECT_FAULTS: tuple[tuple[str, Given], ...] = (
    (WRONG, (("change", "bad-image"), PRICES)),
    (WRONG, (("change", "bad-env"), PRICES)),
    (WRONG, (("change", "bad-config"), PRICES)),
    (WRONG, (("change", "route-nowhere"), ("target", "shop/shop"))),
    (WRONG, (("change", "route-invalid"), ("target", "shop/shop"))),
    ("registry-unusable", (("mode", "scale"),)),
    ("envoy-control-plane-down", (("mode", "scale"),)),
    ("coredns-down", ()),
    ("node-drained", (("node", "qa-2"),)),
    ("pods-killed", (PRICES, ("how_many", "one"))),
    ("pods-killed", (PRICES, ("how_many", "all"))),
)
FAULTS: tuple[tuple[str, Given], ...] = (
    (API, HOLD),
    (API, KILL),
    (ETCD, HOLD),
    (ETCD, KILL),
    ("scheduler-down", HOLD),
    ("scheduler-down", KILL),
    ("controller-manager-down", HOLD),
    (FLAG, (("node", "qa-2"), ("flag", "etcd-elsewhere"))),
    (FLAG, (("node", "qa-2"), ("flag", "unknown-scheduler-flag"))),
    ("registry-unusable", CUT),
    ("envoy-control-plane-down", CUT),
    ("controller-manager-down", KILL),
    (FLAG, (("node", "qa-2"), ("flag", "unknown-apiserver-flag"))),
    (FLAG, (("node", "qa-2"), ("flag", "unknown-controller-manager-flag"))),
    *OBJECT_FAULTS,
)
"""Every scenario, in each of its ways (`test_cells` holds that against the registry)."""
STATES: tuple[InjectionState, ...] = tuple(state for state in InjectionState if state not in FINAL)


class What(StrEnum):
    """One kind of trouble. The coverage table has a row for each."""

    CONDUCTOR_KILLED = "conductor killed"
    CONDUCTOR_STOPPED = "conductor stopped, continued"
    CONDUCTOR_TOLD_TO_STOP = "worker told to stop"
    KILLED_BEFORE_STEP = "conductor killed before its next step"
    KILLED_AFTER_STEP = "conductor killed after its next step"
    STOPPED_BEFORE_STEP = "conductor stopped before its next step"
    STEP_ANSWER_LOST = "answer to the next step lost"
    WATCHDOG_KILLED = "watchdog killed"
    WATCHDOG_STOPPED = "watchdog stopped, continued"
    ALL_OF_OURS_KILLED = "conductor and watchdog killed, watchdog back late"
    GUARD_KILLED = "guard killed"
    GUARD_STOPPED = "guard stopped, continued"
    GUARD_GONE = "guard and its parent gone for a while"
    GUARD_KILLED_AT_WRITE = "guard killed at its next write"
    POWER_CUT = "node loses power"
    POWER_CUT_AT_WRITE = "node loses power at its guard's next write"
    PARTITION = "one node cut off"
    PARTITION_ALL = "all nodes cut off"
    CONDUCTOR_CUT_OFF = "only the conductor cut off from one node"
    ANSWERS_LOST = "answers of one guard lost for a while"
    MESSAGES_LOST = "messages to a guard lost"
    MESSAGES_DOUBLED = "messages to a guard doubled, the second late"
    MESSAGES_DELAYED = "messages to a guard delayed"
    CLOCK_FORWARD = "wall clock set one hour forward"
    CLOCK_BACK = "wall clock set one hour back"
    DISK_FULL = "a guard's disk full"
    DATABASE_AWAY = "database away"
    DATABASE_RESTORED = "database restored from a backup"
    ABORT = "abort"
    EMERGENCY_STOP = "emergency stop, its setter alive or dead"
    CONDUCT_AGAIN = "message to conduct delivered five times"
    OLDER_INSTALLATION = "an older copy of Belay arms its own order"
    SECOND_FAULT_ASKED = "second fault asked for"
    TARGET_EDITED = "a person makes something else of the target"
    FAULT_REVERTED = "something puts the target back"
    TARGET_TOUCHED = "somebody writes another field of the target"
    ACCOUNT_REVOKED = "a run's account refused for a while"
    API_AWAY = "the Kubernetes API out of reach for everybody"
    API_ANSWER_LOST = "answer to a guard's change of an object lost"
    API_CHANGE_LATE = "a guard's change of an object arrives late"
    KUBELET_STOPPED = "kubelet stopped for a while"


ABOUT_OBJECTS = frozenset(
    {What.TARGET_TOUCHED, What.ACCOUNT_REVOKED, What.API_ANSWER_LOST, What.API_CHANGE_LATE}
)
"""They mean something only while the target is an object of the API."""
IMPOSSIBLE: dict[tuple[InjectionState, What], str] = {}
"""Cells of the coverage table that cannot exist, with the reason."""


@dataclass(frozen=True)
class Event:
    """Happens `after_s` seconds after the row was first in state `when`."""

    when: InjectionState
    what: What
    after_s: float = 0.0
    node: int = 1
    """Which of the three nodes, where it is about one."""
    seconds: float = 10.0
    """How long it lasts, where it lasts."""
    skip: int = 0
    """How many steps, writes or messages are spared first; states to go back."""
    lucky: bool = False
    """A power cut: whether what was not synced had reached the disk by itself."""


def prelude(state: InjectionState, *, node: int = 1) -> tuple[Event, ...]:
    """What leads to a state that no ordinary run is ever in. `node`: one that has an order."""
    if state is InjectionState.UNDO_STUCK:
        return (Event(InjectionState.UNDOING, What.PARTITION, node=node, seconds=100.0),)
    return ()


@dataclass(frozen=True)
class Schedule:
    scenario: str
    given: Given = HOLD
    events: tuple[Event, ...] = ()
    hold_s: int = 5

    def __str__(self) -> str:
        lines = [f"{self.scenario} {dict(self.given)} for {self.hold_s} s"]
        return "\n  ".join([*lines, *map(repr, self.events)])
