"""Reading the rows while the database may be dead, stopped or just back."""

from __future__ import annotations

from typing import Any, cast

import psycopg2

from tests.stack.running import RunningStack

FINAL = ("clean", "refused", "resolved_by_hand")


class PatientRows:
    """One connection for looking every few milliseconds; made anew when it broke.

    Never asked while we ourselves keep PostgreSQL stopped: it would not answer before we
    continue it.
    """

    def __init__(self, stack: RunningStack) -> None:
        self._stack = stack
        self._connection: psycopg2.extensions.connection | None = None

    def state(self, run_id: str) -> str | None:
        """The run's state; None when nobody can tell now."""
        try:
            if self._connection is None:
                self._connection = self._stack.connect()
            with self._connection.cursor() as cursor:
                cursor.execute("SELECT state FROM gamedays_injection WHERE id = %s", (run_id,))
                [row] = cast("list[dict[str, Any]]", cursor.fetchall())
            return str(row["state"])
        except psycopg2.Error:
            self.forget()
            return None

    def forget(self) -> None:
        """Drop the connection; the next look makes another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def run_row(stack: RunningStack, run_id: str) -> dict[str, Any]:
    """The run's row with its lease's fence."""
    [row] = stack.query(
        "SELECT i.*, l.fence FROM gamedays_injection i "
        "LEFT JOIN gamedays_lease l ON l.injection_id = i.id WHERE i.id = %s",
        run_id,
    )
    return row


def states_of(stack: RunningStack, run_id: str) -> list[str]:
    """Every state that the timeline tells, in its order; a state that came twice is there twice."""
    entries = stack.query(
        "SELECT data FROM gamedays_timelineentry WHERE injection_id = %s ORDER BY id", run_id
    )
    return [
        str(entry["data"]["state"])
        for entry in entries
        if entry["data"].get("state") and "abort" not in entry["data"]
    ]


def live_runs(stack: RunningStack) -> list[str]:
    """Runs that are not final, and slots that are taken; empty when nothing goes on."""
    runs = stack.query(
        "SELECT id::text AS id, state FROM gamedays_injection WHERE NOT state = ANY(%s)",
        list(FINAL),
    )
    slots = stack.query("SELECT holder::text AS h FROM core_slotclaim WHERE released_at IS NULL")
    return [f"run {run['id']} is {run['state']}" for run in runs] + [
        f"the slot is held by {slot['h']}" for slot in slots
    ]
