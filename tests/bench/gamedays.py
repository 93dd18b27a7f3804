"""Booked gamedays through the whole stack: on time, aborted by a click, and without a conductor."""

from __future__ import annotations

import datetime as dt
import math
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from gamedays.drivers.fleet import Fleet
from tests.bench.cluster import await_settled
from tests.bench.engine import orders_on
from tests.bench.people import Person
from tests.bench.report import Report, bounded, unmeasured
from tests.bench.site import Site
from tests.bench.troubles import TROUBLES
from tests.stack.running import RunningStack, wait_until

CONDUCTOR = "worker-faults"
SCENARIO = "api-servers-down"
HOLD_S, OBSERVE_S = 60, 20
AHEAD_S = 29
"""Longer than the engine's own lead, so that the booked time itself is met."""
LOOK_S = 0.05
ACTIVE_WITHIN_S, UNDO_WITHIN_S, FINAL_WITHIN_S = 90.0, 55.0, 400.0
DUE = "gameday: due time to injecting"
ABORT = "abort: click to undo on the guards"
ABORT_DEAD = "abort: the same, conductor dead"
KILLED = "conductor killed -9: undo on the guards"
LIMITS_S = {DUE: 2.0, ABORT: 2.0, ABORT_DEAD: 5.0, KILLED: 20.0}
STORIES = (ABORT, ABORT_DEAD, KILLED, ABORT, ABORT_DEAD)
"""How each gameday's fault is ended. All of them are also measured against their due time."""

Say = Callable[[str], None]


def measure(report: Report, site: Site, fleet: Fleet, cluster_name: str, say: Say) -> None:
    """Run the gamedays; one row per figure with the worst of its values."""
    raw: dict[str, list[float]] = defaultdict(list)
    troubles: dict[str, str] = {}
    stack = site.running
    lead = Person(stack.base_url, "lea", stack.password)
    for story in STORIES:
        try:
            stack.await_running(CONDUCTOR)
            await_settled(site.plan)
            run = _book_and_await_active(stack, lead, cluster_name)
            late_s = (run["injecting_at"] - run["due_at"]).total_seconds()
            raw[DUE].append(late_s)
            raw[story].append(_end(stack, lead, fleet, story, str(run["id"])))
            say(f"due {late_s:+.3f} s; {story}: {raw[story][-1]:.3f} s")
            _await_final(stack, str(run["id"]))
        except TROUBLES as error:
            troubles[story] = troubles[DUE] = str(error)
            say(f"{story}: {error}")
    for name, limit in LIMITS_S.items():
        if name in troubles or not raw[name]:
            report.add(unmeasured(name, "s", troubles.get(name, "no gameday ran"), raw=raw[name]))
        else:
            report.add(bounded(name, raw[name], "s", limit=limit))


def _book_and_await_active(stack: RunningStack, lead: Person, cluster: str) -> dict[str, Any]:
    [ids] = stack.query(
        "SELECT c.id AS cluster, u.id AS person FROM core_cluster c, core_user u "
        "WHERE c.name = %s AND u.username = 'lea'",
        cluster,
    )
    starts_at = dt.datetime.fromtimestamp(math.ceil(time.time()) + AHEAD_S, dt.UTC)
    gameday = lead.book(
        cluster_id=ids["cluster"],
        facilitator_id=ids["person"],
        starts_at=starts_at,
        scenario=SCENARIO,
        parameters={"mode": "hold", "hold_s": str(HOLD_S), "observe_s": str(OBSERVE_S)},
    )

    def look() -> dict[str, Any] | None:
        rows = stack.query(
            "SELECT i.* FROM gamedays_injection i JOIN gamedays_agendaitem a "
            "ON a.id = i.agenda_item_id WHERE a.gameday_id = %s",
            gameday,
        )
        if rows and rows[0]["state"] == "refused":
            raise AssertionError(f"refused: {rows[0]['reason']}")
        if rows and rows[0]["undo_asked_at"]:
            raise AssertionError(f"undone before it was active: {rows[0]['doubt']}")
        return rows[0] if rows and rows[0]["state"] == "active" else None

    return wait_until(look, within_s=ACTIVE_WITHIN_S, what="the fault is live", every_s=LOOK_S)


def _end(stack: RunningStack, lead: Person, fleet: Fleet, story: str, run_id: str) -> float:
    """Bring the fault's end about as the story says; seconds until every guard has the undo.

    The nodes share this machine's clock, so the guards' own times can be compared with ours.
    """
    began = time.time()
    if story != ABORT:
        stack.kill(CONDUCTOR)
    if story != KILLED:
        began = time.time()
        lead.abort(run_id)
    asked = wait_until(
        lambda: _undo_asked(fleet, run_id),
        within_s=UNDO_WITHIN_S,
        what="every guard has the undo",
        every_s=0.2,
    )
    return max(asked) - began


def _undo_asked(fleet: Fleet, run_id: str) -> list[float] | None:
    """When each guard was asked, in seconds since the epoch; None until all of them were."""
    times = [report.undo_asked_at if report else "" for report in orders_on(fleet, run_id).values()]
    if not all(times):
        return None
    return [dt.datetime.fromisoformat(text).timestamp() for text in times]


def _await_final(stack: RunningStack, run_id: str) -> None:
    def look() -> bool:
        [row] = stack.query("SELECT state, reason FROM gamedays_injection WHERE id = %s", run_id)
        if row["state"] == "undo_stuck":
            raise AssertionError(f"stuck: {row['reason']}")
        return bool(row["state"] == "clean")

    wait_until(look, within_s=FINAL_WITHIN_S, what="the run is clean", every_s=0.5)
