"""The QA cluster under test: the supervised stack on the raised range, driven as people do."""

from __future__ import annotations

import datetime as dt
import json
import signal
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import redis

from config.stack.processes import ProcessMark
from tests.faults.nodes import API, SCHEDULER, ClusterLook, FileMark, pid_on_node
from tests.faults.person import Person
from tests.faults.quick_rows import QuickRows, signal_all
from tests.faults.verbs import START
from tests.stack.running import RunningStack, wait_until

T = TypeVar("T")
HOLD_S = 15
OBSERVE_S = 10
"""The least that the stacks under test allow."""
JUDGED_S = 20
"""For a verdict that was measured: probes need some seconds of grace, and samples after them."""
DEADLINE_MARGIN_S = 60
"""The guards' hard deadline lies this long after the hold (design, section 6)."""
BUDGET_S = 180
"""Recovery budget of the API servers' scenario; the etcd member's has a minute more."""
FINAL = ("clean", "refused", "resolved_by_hand")
API_DOWN = "api-servers-down"
SCHEDULER_DOWN = "scheduler-down"
"""A hold of a static pod on every node, as of the API servers, for rows about us and not about
the API: what it takes away is back within seconds, and nobody else is deaf for a minute after."""
ETCD_DOWN = "etcd-member-down"


class RefusedError(Exception):
    """The product said no; `code` is its stable word."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def at(moment: str | dt.datetime | None) -> float:
    """Seconds since 1970 of a time that a row or a guard's journal tells."""
    assert moment, "the time is not there"
    if isinstance(moment, str):
        moment = dt.datetime.fromisoformat(moment)
    return moment.timestamp()


class QaCluster:
    """Stack, range, people, and what the range looked like before the first fault."""

    def __init__(self, stack: RunningStack, look: ClusterLook) -> None:
        self.stack = stack
        self.look = look
        self.manifests_before = look.manifests()
        self.erik = Person(stack.base_url, "erik", stack.password)
        self.vera = Person(stack.base_url, "vera", stack.password)

    # -- people's verbs ---------------------------------------------------------------------------

    def start(
        self,
        scenario: str = SCHEDULER_DOWN,
        *,
        title: str = "Rows of the failure table",
        **given: object,
    ) -> str:
        """Lea books a gameday with one fault, Erik starts it; the run's id."""
        parameters = {"hold_s": HOLD_S, "observe_s": OBSERVE_S, **given}
        return str(self._start(title=title, agenda=[[scenario, parameters]])["run"])

    def start_again(self, run_id: str) -> str:
        """Erik starts the gameday of a run once more."""
        gameday = self.query(
            "SELECT a.gameday_id FROM gamedays_injection i "
            "JOIN gamedays_agendaitem a ON a.id = i.agenda_item_id WHERE i.id = %s",
            run_id,
        )[0]["gameday_id"]
        return str(self._start(gameday=gameday)["run"])

    def _start(self, **wish: Any) -> dict[str, Any]:
        wish = {"gameday": None, **wish}
        code = START.format(wish=json.dumps(wish))
        answer: dict[str, Any] = self.stack.shell.run(code)
        if "code" in answer:
            raise RefusedError(answer["code"], answer["message"])
        return answer

    # -- rows -------------------------------------------------------------------------------------

    def query(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        return self.stack.query(sql, *parameters)

    def row(self, run_id: str) -> dict[str, Any]:
        return self.query("SELECT * FROM gamedays_injection WHERE id = %s", run_id)[0]

    def state(self, run_id: str) -> str:
        return str(
            self.query("SELECT state FROM gamedays_injection WHERE id = %s", run_id)[0]["state"]
        )

    def timeline(self, run_id: str) -> list[dict[str, Any]]:
        return self.query(
            "SELECT at, kind, text, data FROM gamedays_timelineentry "
            "WHERE injection_id = %s ORDER BY at, id",
            run_id,
        )

    def states(self, run_id: str) -> list[str]:
        """The states that the run went through, as its timeline tells."""
        seen: list[str] = []
        for entry in self.timeline(run_id):
            state = entry["data"].get("state")
            if state and "abort" not in entry["data"] and seen[-1:] != [state]:
                seen.append(state)
        return seen

    def runs(self) -> list[dict[str, Any]]:
        return self.query(
            "SELECT id::text, state, injecting_at FROM gamedays_injection ORDER BY id"
        )

    def await_state(self, run_id: str, *states: str, within_s: float) -> str:
        """Wait for one of the states. A run that ended in another way fails at once."""
        seen = ""

        def look() -> bool:
            nonlocal seen
            seen = self.state(run_id)
            return seen in states or seen in FINAL

        wait_until(look, within_s=within_s, what=f"run in {states}", every_s=0.05)
        row = self.row(run_id)
        assert seen in states, f"the run is {seen}: {row['reason']} {row['doubt']}"
        return seen

    def await_active(self, run_id: str) -> None:
        self.await_state(run_id, "active", within_s=45)

    def await_clean(self, run_id: str, *, within_s: float = 150) -> dict[str, Any]:
        """Wait until the rows say clean, and hold the nodes against them at that very moment."""
        self.await_state(run_id, "clean", within_s=within_s)
        left = self.look.left_behind(self.manifests_before)
        assert left == [], f"the rows say clean, the nodes do not: {left}"
        unsteady = self.look.unsteady()
        assert unsteady == [], f"the rows say clean, the nodes do not: {unsteady}"
        self.assert_rows_agree(run_id)
        return self.row(run_id)

    # -- rows against nodes -----------------------------------------------------------------------

    def assert_rows_agree(self, run_id: str) -> None:
        """What the rows say of this run is what lies on the nodes."""
        row = self.row(run_id)
        for name, components in row["fingerprint"]["nodes"].items():
            files = self.look.node(name).manifests()
            for component, was in components.items():
                told = was["manifest"]
                mark = FileMark(
                    sha256=told["sha256"], mode=told["mode"], uid=told["uid"], gid=told["gid"]
                )
                assert files[f"{component}.yaml"] == mark, f"{component} on {name}"
        for name in row["recipe"]["faults"]:
            node = self.look.node(name)
            order = node.order()
            # A guard that was never told of the order keeps its tombstone only.
            if order is not None and order["recipe"]["order_id"] == run_id:
                assert order["phase"] == "undone"
            assert run_id in node.tombstones(), f"{name} would still accept order {run_id}"
        claims = self.query("SELECT released_at FROM core_slotclaim WHERE holder = %s", run_id)
        assert [claim["released_at"] is not None for claim in claims] == [True]

    def assert_never_touched(
        self, run_id: str, before: dict[str, frozenset[ProcessMark]], component: str = SCHEDULER
    ) -> None:
        """No process of the target ended, and no guard injected anything for this run."""
        assert self.look.processes(component) == before
        for name, order in self.look.orders().items():
            if order is not None and order["recipe"]["order_id"] == run_id:
                assert not order["injected_at"], f"{name} injected"

    def assert_bitten_as_told(self, run_id: str, before: dict[str, dict[int, ProcessMark]]) -> None:
        """The processes that the timeline calls dead are those that were there, and are dead."""
        [evidence] = [
            entry["data"]
            for entry in self.timeline(run_id)
            if entry["data"].get("state") == "active"
        ]
        for name, processes in before.items():
            told = {(pid, ticks) for pid, ticks in evidence[name]["processes"]}
            assert told == {(pid, mark.start_ticks) for pid, mark in processes.items()}
            assert not any(mark.alive for mark in processes.values()), f"alive on {name}"

    def numbered(self, component: str = API) -> dict[str, dict[int, ProcessMark]]:
        """The component's processes with the numbers that they have on their own nodes."""
        return {
            name: {pid_on_node(mark): mark for mark in marks}
            for name, marks in self.look.processes(component).items()
        }

    # -- the guards' own journals -----------------------------------------------------------------

    def await_undo_on_guards(
        self, run_id: str, nodes: Iterable[str] | None = None, *, within_s: float
    ) -> dict[str, dict[str, Any]]:
        """Wait until the journals of all target nodes say that the undo has begun; the orders."""
        wanted = sorted(nodes or self.row_targets(run_id))

        def look() -> dict[str, dict[str, Any]] | None:
            orders = {name: self.look.node(name).order() for name in wanted}
            begun = {
                name: order
                for name, order in orders.items()
                if order
                and order["recipe"]["order_id"] == run_id
                and order["phase"] in ("undoing", "stuck", "undone")
            }
            return begun if len(begun) == len(wanted) else None

        return wait_until(look, within_s=within_s, what="undo on every guard", every_s=0.02)

    def row_targets(self, run_id: str) -> list[str]:
        return sorted(self.row(run_id)["recipe"]["faults"])

    def nodes_down(self, component: str = API) -> list[str]:
        """Nodes on which the component does not run now."""
        return sorted(name for name, marks in self.look.processes(component).items() if not marks)

    # -- messages ---------------------------------------------------------------------------------

    def broker(self) -> redis.Redis[bytes]:
        return redis.Redis(unix_socket_path=str(self.stack.stack.redis().socket), socket_timeout=5)

    def waiting(self, queue: str) -> int:
        """Messages on a queue that no thread has taken yet."""
        return int(self.broker().llen(queue))

    # -- processes of ours ------------------------------------------------------------------------

    def step_until(self, program: str, reached: Callable[[QuickRows], T], *, within_s: float) -> T:
        """Let a program run in slices of a millisecond until `reached`, and leave it stopped.

        This finds moments that last only milliseconds. It is stopped outside any transaction:
        an open one would be a second fault beside the one that is tested.
        """
        tree = self.stack.marks(program)
        with QuickRows(self.stack.connect()) as rows:
            give_up_at = time.monotonic() + within_s
            while time.monotonic() < give_up_at:
                signal_all(tree, signal.SIGSTOP)
                if (seen := reached(rows)) and rows.no_open_transaction():
                    return seen
                signal_all(tree, signal.SIGCONT)
                time.sleep(0.001)
        raise AssertionError(f"{program} did not come to the moment within {within_s:g} s")

    def stop_in_transaction(self, program: str, *, within_s: float) -> int:
        """Stop a program in the middle of a transaction, its locks held; the server's pid for it.

        It runs in slices of a millisecond, as in `step_until`, until one of its transactions
        stays open while it is stopped.
        """
        tree = self.stack.marks(program)
        with QuickRows(self.stack.connect()) as rows:
            give_up_at = time.monotonic() + within_s
            while time.monotonic() < give_up_at:
                signal_all(tree, signal.SIGSTOP)
                if backend := rows.transaction_that_stays_open():
                    return backend
                signal_all(tree, signal.SIGCONT)
                time.sleep(0.001)
        raise AssertionError(f"{program} was not caught in a transaction within {within_s:g} s")

    def backend_lives(self, backend: int) -> bool:
        """Whether that process of the database server still serves its client."""
        return bool(self.query("SELECT 1 FROM pg_stat_activity WHERE pid = %s", backend))

    def await_quickly(self, run_id: str, *states: str, within_s: float) -> str:
        """Wait for a state that may last for milliseconds only."""
        with QuickRows(self.stack.connect()) as rows:

            def look() -> str | None:
                state = rows.state(run_id)
                return state if state in states or state in FINAL else None

            seen = wait_until(look, within_s=within_s, what=f"{states}", every_s=0.001)
        assert seen in states, f"the run is {seen}: {self.row(run_id)['reason']}"
        return seen
