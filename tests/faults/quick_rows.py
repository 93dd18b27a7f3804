"""Looking at the rows every millisecond, and signals to whole trees of processes."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Self, cast

import psycopg2

from config.stack.processes import ProcessMark


class QuickRows:
    """Reads of the rows over one connection, for looking every millisecond."""

    def __init__(self, connection: psycopg2.extensions.connection) -> None:
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def state(self, run_id: str) -> str:
        return str(self._one("SELECT state FROM gamedays_injection WHERE id = %s", run_id))

    def no_open_transaction(self) -> bool:
        """Others' transactions end within milliseconds; one that stays is the stopped program's."""
        give_up_at = time.monotonic() + 0.1
        while time.monotonic() < give_up_at:
            if self._one(_OPEN_TRANSACTIONS) == 0:
                return True
            time.sleep(0.002)
        return False

    def transaction_that_stays_open(self) -> int | None:
        """The backend whose client has begun a transaction and says nothing more in it."""
        open_for_now = self._column(_IDLE_IN_TRANSACTION)
        if not open_for_now:
            return None
        time.sleep(0.1)  # what anybody else had open has ended by then
        stays = set(open_for_now) & set(self._column(_IDLE_IN_TRANSACTION))
        return stays.pop() if stays else None

    def _column(self, sql: str) -> list[int]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            rows = cast("list[dict[str, Any]]", cursor.fetchall())
        return [int(next(iter(row.values()))) for row in rows]

    def _one(self, sql: str, *parameters: object) -> Any:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            [row] = cast("list[dict[str, Any]]", cursor.fetchall())
        [value] = row.values()
        return value


_OPEN_TRANSACTIONS = """
SELECT count(*) AS n FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
"""


_IDLE_IN_TRANSACTION = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'idle in transaction'
"""


def signal_all(tree: list[ProcessMark], number: signal.Signals) -> None:
    for process in tree:
        if process.alive:
            os.kill(process.pid, number)


def kill_now(tree: list[ProcessMark]) -> float:
    """SIGKILL to processes that were looked up before; the time (seconds since 1970)."""
    killed = time.time()
    signal_all(tree, signal.SIGKILL)
    return killed
