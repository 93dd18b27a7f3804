"""The database: real rows on PostgreSQL, behind a connection that can be lost at any moment."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from django.db import OperationalError, connection, transaction

from core.lost_rows import RowsLostError
from core.watchdog import LeaseRow
from gamedays.choices import EntryKind, InjectionState
from gamedays.execution import shell
from gamedays.execution.rehearsal import Rehearsed
from gamedays.execution.world import PodCensus, Run, Sample
from gamedays.journal import Journal
from gamedays.management.commands.watchdog import LeaseTable
from tests.simulator.kernel import Kernel, Process
from tests.simulator.operations import Operations

COMMIT_S = 0.002
DEADLINE_S = 5.0
_PROVE = ("census", "rehearsals")
T = TypeVar("T")


class Database:
    """What all processes share. `changes` counts commits, so that unchanged rows need no query."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.changes = 0
        self.renewals = 0
        """Those that succeeded, one by one."""
        self.proofs = 0
        """Writes that prove the fence beside what they write, and so count the lease up too."""
        self.takeovers = 0
        self.on_renewal: Callable[[uuid.UUID, int], None] = lambda _id, _fence: None
        """Told of every renewal that succeeded after a first takeover."""
        self.away_until = 0.0
        self.freezes = False
        """Being away is silence (SIGSTOP) until the client's own deadline, and no refusal."""
        self.backups: list[tuple[str, str]] = []
        """State of the injection, and the savepoint taken when it entered it."""
        self.on_commit: list[Callable[[], None]] = []
        self._state: tuple[int, str] = (-1, "")

    @property
    def away(self) -> bool:
        return self.kernel.now < self.away_until

    def committed(self) -> None:
        self.changes += 1
        for tell in self.on_commit:
            tell()

    def back_up(self, state: str) -> None:
        self.backups.append((state, transaction.savepoint()))

    def restore(self, states_ago: int) -> str | None:
        """Put back what was there that many states ago; the state that is there now."""
        if len(self.backups) <= states_ago:
            return None
        state, savepoint = self.backups[-1 - states_ago]
        transaction.savepoint_rollback(savepoint)
        del self.backups[len(self.backups) - states_ago :]
        self.committed()
        return state

    def select(self, sql: str, *values: str | uuid.UUID) -> list[tuple[Any, ...]]:
        """Plain SQL, for checkers: it shares nothing with the engine."""
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            return list(cursor.fetchall())

    def state(self, injection_id: uuid.UUID) -> str:
        if self._state[0] != self.changes:
            found = self.select("SELECT state FROM gamedays_injection WHERE id = %s", injection_id)
            self._state = (self.changes, found[0][0] if found else "")
        return self._state[1]


class Rows(Journal):
    """The real journal, as one process reaches it."""

    def __init__(self, database: Database, process: Process, operations: Operations) -> None:
        super().__init__()
        self._database = database
        self._process = process
        self._operations = operations
        self._cached: tuple[tuple[uuid.UUID, int, int], Run | None] | None = None

    def read(self, injection_id: uuid.UUID, fence: int) -> Run | None:
        self._reach()
        key = (injection_id, fence, self._database.changes)
        if self._cached is None or self._cached[0] != key:
            self._cached = key, super().read(injection_id, fence)
        return self._cached[1]

    def renew(self, injection_id: uuid.UUID, fence: int) -> bool:
        def commit() -> bool:
            done = super(Rows, self).renew(injection_id, fence)
            self._database.renewals += done
            return done

        renewed = self._commit("renew", commit, changes=False)
        if renewed and self._database.takeovers:
            self._database.on_renewal(injection_id, fence)
        return renewed

    def move(
        self,
        run: Run,
        to: InjectionState,
        *,
        text: str,
        kind: EntryKind | None = None,
        data: Mapping[str, Any] | None = None,
        unless_aborted: bool = False,
        **changes: Any,
    ) -> Run | None:
        def commit() -> Run | None:
            self._cached = None
            return super(Rows, self).move(
                run, to, text=text, kind=kind, data=data, unless_aborted=unless_aborted, **changes
            )

        return self._commit(f"move:{to}", commit)

    def write_samples(self, run: Run, samples: Iterable[Sample]) -> None:
        self._commit("samples", lambda: super(Rows, self).write_samples(run, samples), False)

    def write_census(self, run: Run, census: PodCensus) -> None:
        self._commit("census", lambda: super(Rows, self).write_census(run, census), False)

    def write_entry(
        self, run: Run, *, kind: EntryKind, text: str, data: Mapping[str, Any] | None = None
    ) -> None:
        def commit() -> None:
            super(Rows, self).write_entry(run, kind=kind, text=text, data=data)

        self._commit("entry", commit, False)

    def write_rehearsals(self, run: Run, results: Iterable[Rehearsed]) -> None:
        self._commit("rehearsals", lambda: super(Rows, self).write_rehearsals(run, results), False)

    def unrehearsed(self, run: Run, nodes: Iterable[str]) -> list[str]:
        self._reach()
        return super().unrehearsed(run, nodes)

    def close(self, run: Run, at: Any) -> Run | None:
        return self._commit("close", lambda: super(Rows, self).close(run, at))

    def give_up(self, injection_id: uuid.UUID, fence: int) -> None:
        self._commit("give-up", lambda: super(Rows, self).give_up(injection_id, fence))

    def _commit(self, name: str, commit: Callable[[], T], changes: bool = True) -> T:
        def act() -> T:
            self._reach()
            done = commit()
            if changes:
                self._database.committed()
            elif name in _PROVE:
                self._database.proofs += 1
            return done

        lost = RowsLostError(f"the answer to {name} was lost")
        return self._operations.perform(self._process, f"db:{name}", act, lost, takes_s=COMMIT_S)

    def _reach(self) -> None:
        if self._database.away:
            self._database.kernel.sleep(DEADLINE_S if self._database.freezes else 0.05)
            raise RowsLostError("the database is away")


class Leases(LeaseTable):
    """The real lease table, as one watchdog reaches it."""

    def __init__(self, database: Database, process: Process, operations: Operations) -> None:
        self._database = database
        self._process = process
        self._operations = operations
        self._seen = (-1, -1)
        self._renewals = 0
        self._rows: list[LeaseRow] = []

    def rows(self) -> Iterable[LeaseRow]:
        if self._database.away:
            raise OperationalError("the database is away")
        seen = (self._database.changes, self._database.proofs)
        if self._seen != seen:
            self._rows = list(super().rows())
        elif self._renewals != self._database.renewals:
            # Nothing but one counter was written since: it moved by as much as was renewed.
            more = self._database.renewals - self._renewals
            self._rows = [dataclasses.replace(r, renewals=r.renewals + more) for r in self._rows]
        self._seen, self._renewals = seen, self._database.renewals
        return self._rows

    def take_over(self, row: LeaseRow) -> int | None:
        if self._database.away:
            raise OperationalError("the database is away")

        def act() -> int | None:
            fence = super(Leases, self).take_over(row)
            self._database.takeovers += 1
            self._database.committed()
            return fence

        lost = OperationalError("the answer to the takeover was lost")
        return self._operations.perform(self._process, "db:take-over", act, lost, takes_s=COMMIT_S)


def claim(database: Database, injection_id: uuid.UUID) -> int | None:
    fence = shell.claim_first(injection_id)
    database.committed()
    return fence
