"""What the conductor of a step is handed: clock, rows, and the runner's hands. All of it faked in
tests, at this edge and nowhere else."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from migrator.choices import AttemptState, Direction, EntryKind
from migrator.runners.base import Hands


@dataclass(frozen=True, kw_only=True)
class Trial:
    """An attempt's row, as read just now."""

    id: uuid.UUID
    direction: Direction
    state: AttemptState
    kind: str
    parameters: Mapping[str, Any]
    check_kind: str
    check_parameters: Mapping[str, Any]
    back_check_kind: str
    back_check_parameters: Mapping[str, Any]
    before: Mapping[str, Any]
    memory: Mapping[str, Any]
    exposes: bool
    reason: str
    asked_at: dt.datetime
    changed_at: dt.datetime | None
    returning_at: dt.datetime | None
    back_asked: str
    """Who asked to turn it round; empty: nobody."""
    fence: int


class Clock(Protocol):
    def monotonic(self) -> float:
        """Seconds; only differences mean anything."""

    def now(self) -> dt.datetime:
        """Wall time, for people and for marks."""


class Rows(Protocol):
    """The database. Every method raises `RowsLostError` when it does not answer in time."""

    def read(self, attempt_id: uuid.UUID, fence: int) -> Trial | None:
        """The row, or None when `fence` is no longer the newest: somebody took over."""

    def renew(self, attempt_id: uuid.UUID, fence: int) -> bool:
        """Count the lease up; False when the fence is stale."""

    def held_up(self, trial: Trial) -> str:
        """Why it may not go forward now, in a sentence: the emergency stop, and, before anything
        was changed, every gate that closed since it was started. Empty: nothing holds it."""

    def move(
        self,
        trial: Trial,
        to: AttemptState,
        *,
        text: str,
        kind: EntryKind = EntryKind.STATE,
        data: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Trial | None:
        """Compare-and-set on state and fence, with its entry in the history, and with all that an
        end brings along; None when it lost, or when an emergency stop holds it up."""

    def note(self, trial: Trial, *, memory: Mapping[str, Any], seen: Mapping[str, Any]) -> None:
        """Keep what a look brought, without a move."""

    def rest(self, attempt_id: uuid.UUID, fence: int, *, again_s: float) -> None:
        """Let go of the lease; somebody looks again after so many seconds."""

    def give_up(self, attempt_id: uuid.UUID, fence: int) -> None:
        """Say that this conductor stops; a watchdog may take over at once."""


@dataclass(frozen=True, kw_only=True)
class World:
    clock: Clock
    rows: Rows
    hands: Hands
