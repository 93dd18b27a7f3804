"""What a runner is: the one who knows how a kind of step is done, watched and undone.

A runner keeps nothing between two calls: what it has to know again is in `before` (written down
before the change) and in `memory` (handed back at every look). So any process can go on where
another one stopped.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Protocol

from core.fields import Field, Value

Object = dict[str, Any]


class StepRefusedError(Exception):
    """Nothing was changed, and will not be: the sentence says why and what to do."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.message, self.code = message, code


class ForeignChangeError(Exception):
    """Somebody else changed what this step is about. Theirs is left alone; a person decides."""

    def __init__(self, message: str, *, wrote: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.wrote = wrote
        """Whether something of ours may stand there."""


class Stand(StrEnum):
    """What stands in the world, of the two that a step knows."""

    ORIGINAL = "original"
    OURS = "ours"
    FOREIGN = "foreign"


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A whole answer of the cluster's API."""

    status: int
    document: Object


class Api(Protocol):
    """The cluster's API, one request on a connection of its own."""

    def ask(
        self,
        method: str,
        path: str,
        body: object | None = None,
        *,
        content_type: str = "application/json",
    ) -> Answered:
        """Any answer that is whole. `ClusterUnreachable` where none came: whether a change was
        taken is then unknown."""


class FiguresMissingError(Exception):
    """Not every Envoy told its figures: nothing can be said of the requests."""


Figures = dict[str, dict[str, int]]
"""Per listener: figure → value, as Envoy counts since it was started."""


class Envoys(Protocol):
    @property
    def count(self) -> int:
        """How many listeners are named for the cluster."""

    def read(self, upstreams: Iterable[str]) -> Figures:
        """Requests completed and failed of those upstreams (`completed:NAME`, `failed:NAME`), per
        Envoy. `FiguresMissingError` unless every one of them answered."""


class Asks(Protocol):
    def http(self, url: str, *, host: str = "", timeout_s: float = 3.0) -> int:
        """The status of one GET on a fresh connection; `OSError` where no answer came."""


class Ticks(Protocol):
    def ticked(self, part: str) -> frozenset[int]:
        """Items of a checklist that somebody ticked, of this attempt."""


@dataclass(frozen=True, kw_only=True)
class Hands:
    """The world, as far as a runner touches it."""

    api: Api
    envoys: Envoys
    asks: Asks
    ticks: Ticks


@dataclass(frozen=True, kw_only=True)
class Order:
    """What one attempt asks of its runner."""

    attempt_id: str
    parameters: Mapping[str, Any]
    going_back: bool = False
    """It is a way back that is a step of its own: judged, but never turned round."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """How it is now, and what will be done. Nothing was touched."""

    before: Object
    diff: list[str]
    exposes: bool = False
    """After the change users meet what nobody has accepted yet."""
    changes: bool = True
    """False where it stands already as the step would set it: there is nothing to undo."""


class Judged(StrEnum):
    WAIT = "wait"
    PASSED = "passed"
    BROKE = "broke"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Look:
    """One look at a change that stands."""

    judged: Judged
    sentence: str
    memory: Object = field(default_factory=dict)
    figures: Object = field(default_factory=dict)
    again_s: float = 1.0
    """When it is worth looking again."""


class Runner:
    """Base of all kinds. To add one: one file in this folder, one line in the registry."""

    key: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    icon: ClassVar[str] = "tool"
    fields: ClassVar[tuple[Field, ...]] = ()
    touches_cluster: ClassVar[bool] = True
    """It changes the cluster, and so excludes a fault there."""
    returns_by_itself: ClassVar[bool] = True
    """When a bound breaks it goes back without asking; otherwise it waits for a person."""
    can_rehearse: ClassVar[bool] = True
    needs_rehearsal: ClassVar[bool] = True
    """False where nothing is touched, and so nothing has to be undone."""
    may_be_way_back: ClassVar[bool] = True
    ticks_at_once: ClassVar[bool] = True
    """Its list may be ticked as soon as it has begun; else once a look says `may_tick`."""
    unknown_s: ClassVar[float] = 120.0
    """How long nothing may be known of a change that stands."""
    return_s: ClassVar[float] = 60.0
    """Going back for so long without success: stuck, and an alarm. It is tried for ever."""
    return_again_s: ClassVar[float] = 1.0
    """When it is worth looking again on the way back."""
    settle_s: ClassVar[float] = 60.0
    """How long it may take until what was put back is proved to be back."""

    def check_together(self, values: dict[str, Value]) -> dict[str, str]:
        """What is wrong with values that are right alone: field → sentence."""
        return {}

    def unknown_for(self, parameters: Mapping[str, Any]) -> float:
        """Seconds for which nothing may be known of this change."""
        return self.unknown_s

    def in_words(self, parameters: Mapping[str, Any]) -> str:
        """What it does, in one line for people."""
        raise NotImplementedError

    def prepare(self, order: Order, hands: Hands) -> Prepared:
        """Look, refuse or say what will be done. `StepRefusedError`, `ClusterUnreachable`."""
        raise NotImplementedError

    def change(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        """Do it, conditionally on `before`; doing it again is harmless. `ForeignChangeError` where
        it is not any more as it was, `ClusterUnreachable` where nobody knows."""
        raise NotImplementedError

    def stand(self, order: Order, before: Mapping[str, Any], hands: Hands) -> Stand:
        """Which of the two stands. `ClusterUnreachable` where nobody knows."""
        raise NotImplementedError

    def judge(
        self,
        order: Order,
        before: Mapping[str, Any],
        memory: Mapping[str, Any],
        hands: Hands,
        *,
        stood_s: float,
        now: dt.datetime,
    ) -> Look:
        """Look at the change, `stood_s` seconds after it was seen to stand."""
        raise NotImplementedError

    def is_back(self, order: Order, before: Mapping[str, Any], hands: Hands) -> bool:
        """Whether it is as it was, as far as this step is about it. Errors as `stand`."""
        return self.stand(order, before, hands) is Stand.ORIGINAL

    def anything_of_ours(self, order: Order, before: Mapping[str, Any], hands: Hands) -> bool:
        """Whether even a part of the change stands. Errors as `stand`."""
        return self.stand(order, before, hands) is Stand.OURS

    def why_no_restore(self, parameters: Mapping[str, Any]) -> str:
        """Why what the step writes down is no way back; empty: it is one."""
        return ""

    def returns_alone(self, order: Order, before: Mapping[str, Any]) -> bool:
        """Whether this change, once a bound breaks, goes back without asking."""
        return self.returns_by_itself

    def undo(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        """Put back what was written down, only where ours stands. Errors as `change`."""
        raise NotImplementedError

    def outdate(self, order: Order, before: Mapping[str, Any], hands: Hands) -> None:
        """Give what stands a new version, so that a change of ours that is still under way is
        refused when it comes. Errors as `change`."""

    def fingerprint(self, order: Order, before: Mapping[str, Any], hands: Hands) -> Object:
        """How what is touched is now, as comparable data without times and versions."""
        raise NotImplementedError


def differences(before: Any, after: Any, place: str = "") -> list[str]:
    """Where two fingerprints differ, in lines for people; empty: they are equal."""
    if isinstance(before, dict) and isinstance(after, dict):
        lines: list[str] = []
        for key in sorted(set(before) | set(after), key=str):
            inner = f"{place}.{key}" if place else str(key)
            if key not in after:
                lines.append(f"{inner}: was {_short(before[key])}, is gone")
            elif key not in before:
                lines.append(f"{inner}: was not there, is {_short(after[key])}")
            else:
                lines += differences(before[key], after[key], inner)
        return lines
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            line
            for index, (old, new) in enumerate(zip(before, after, strict=True))
            for line in differences(old, new, f"{place}[{index}]")
        ]
    if before == after:
        return []
    return [f"{place or 'all of it'}: was {_short(before)}, is {_short(after)}"]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
