"""The range and the stack that are struck, and the judging of a run from beside them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2

from config.stack.errors import StackError
from practice.facts import RangeFacts
from tests.chaos.look import Before, Beside, Processes
from tests.chaos.owner import TROUBLES
from tests.chaos.plan import PROGRAMS, Fault, Process, Way
from tests.chaos.rows import live_runs, run_row, states_of
from tests.chaos.story import Told
from tests.chaos.truth import Seen
from tests.practice.plugin import practice
from tests.stack.running import RunningStack, wait_until

STEADY_S = 420.0
"""An API server that lost its etcd, a Contour in its crash loop, a busy machine."""
DRILL_S = 60.0
RAISE_S = 40 * 60
API_S = 30.0
UNINSTALL_S = 240.0
CLUSTER_NAME = "qa-range"
_PROCESS_OF = {
    "etcd-member-down": "etcd",
    "api-servers-down": "kube-apiserver",
    "scheduler-down": "kube-scheduler",
    "controller-manager-down": "kube-controller-manager",
}
_PROCESS_OF_FLAG = {
    "etcd-elsewhere": "kube-apiserver",
    "unknown-apiserver-flag": "kube-apiserver",
    "unknown-scheduler-flag": "kube-scheduler",
    "unknown-controller-manager-flag": "kube-controller-manager",
}


class Site:
    """A running stack on a raised range."""

    def __init__(self, stack: RunningStack, beside: Beside) -> None:
        self.stack = stack
        self.beside = beside
        self.before: Before | None = None

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(node.name for node in self.beside.cluster.nodes)

    def await_steady(self, stop_asked: Callable[[], bool]) -> None:
        """Every program of ours runs, no run is live, and the cluster is whole and as before.

        The first time it is looked at how the cluster is before any fault. Raises AssertionError
        with what is wrong.
        """
        self.await_programs()
        wrong: list[str] = []

        def look() -> bool:
            wrong[:] = live_runs(self.stack) + self.beside.unsteady(self.before)
            if self.before is None and not wrong:
                try:
                    self.before = self.beside.before()
                except TROUBLES as error:
                    # Such as 429, while a server fills its cache of a kind nobody asked it for.
                    wrong.append(f"the API gave no answer to its owner: {error}")
            return not wrong or stop_asked()

        try:
            wait_until(look, within_s=STEADY_S, what="steady", every_s=1.0)
        except AssertionError as error:
            raise AssertionError(f"not steady within {STEADY_S:g} s: {'; '.join(wrong)}") from error

    def await_programs(self) -> None:
        """The supervisor has started again whoever was killed, and pages are served."""
        for program in PROGRAMS:
            self.stack.await_running(program)
        wait_until(self.stack.is_healthy, within_s=90, what="pages are served", every_s=0.5)

    def left_behind(self) -> list[str]:
        """Traces of a fault, now. An API that is away is asked again for half a minute."""
        assert self.before is not None, "call await_steady first"
        left = self.beside.left_on_nodes(self.before)
        give_up_at = time.monotonic() + API_S
        while True:
            try:
                return left + self.beside.left_in_api(self.before)
            except TROUBLES as error:
                if time.monotonic() > give_up_at:
                    return [*left, f"the API gave no answer to its owner: {error}"]
                time.sleep(0.5)

    def not_bitten(self, fault: Fault) -> list[str]:
        """Where a fault that a row calls live cannot be seen."""
        assert self.before is not None, "call await_steady first"
        return self.beside.not_bitten(fault, self.before)

    def drills_left(self) -> list[str]:
        """Drills that did not end by themselves; waits for as long as they may take."""
        try:
            wait_until(
                lambda: not self.beside.drills(), within_s=DRILL_S, what="drills over", every_s=0.5
            )
        except AssertionError:
            return self.beside.drills()
        return []

    def seen(self, told: Told, fault: Fault, processes: Processes) -> Seen:
        """Rows and nodes side by side. `processes`: those from before the run."""
        row = run_row(self.stack, told.run_id)
        [slots] = self.stack.query(
            "SELECT count(*) AS n FROM core_slotclaim WHERE released_at IS NULL"
        )
        return Seen(
            run_id=told.run_id,
            row=row,
            states=states_of(self.stack, told.run_id),
            orders=self.beside.cluster.orders(),
            tombstones={
                node.name: frozenset(node.tombstones()) for node in self.beside.cluster.nodes
            },
            old_processes_alive=_old_alive(fault, row, processes),
            slots_held=int(slots["n"]),
            guard_stopped_s=sum(
                one.strike.stopped_s
                for one in told.struck
                if one.strike.way is Way.STOP
                and one.strike.process in (Process.GUARD, Process.GUARD_PARENT)
            ),
        )


def _old_alive(fault: Fault, row: dict[str, Any], processes: Processes) -> list[str]:
    """Target nodes whose process from before the run still lives."""
    component = _PROCESS_OF.get(fault.scenario) or _PROCESS_OF_FLAG.get(
        str(fault.parameters.get("flag", ""))
    )
    if component is None:
        return []
    targets = row["recipe"].get("faults", {})
    return [
        node
        for node, marks in processes[component].items()
        if node in targets and any(mark.alive for mark in marks)
    ]


@contextmanager
def standing(kept_range: str, say: Callable[[str], None]) -> Iterator[Site]:
    """The range (raised, unless `kept_range` is up) and a stack on it; both gone afterwards, but
    for a range that was named."""
    name = kept_range or f"c{os.getpid() % 1000000}"
    stack: RunningStack | None = None
    try:
        say(f"range {name}: raising it, unless it is up")
        practice("up", "--name", name, "--crash-loop-max", "10s", timeout=RAISE_S)
        say("starting the stack, registering the range, installing guards")
        state_dir = Path("/tmp") / f"belay-chaos-{os.getpid()}"
        stack = RunningStack.start(state_dir, range_name=name)
        yield Site(stack, Beside(RangeFacts.load(name)))
    finally:
        if stack is not None:
            try:
                if kept_range:
                    _take_guards_off(stack, RangeFacts.load(name), say)
            finally:
                stack.end()
        if not kept_range:
            practice("down", "--name", name)


def _take_guards_off(stack: RunningStack, facts: RangeFacts, say: Callable[[str], None]) -> None:
    """A guard obeys one stack; without it the range is free for the next one."""
    words = ("guard", "uninstall", CLUSTER_NAME, "--kubeconfig", facts.admin_kubeconfig)
    done = stack.manage(*words, check=False, timeout_s=UNINSTALL_S)
    if done.returncode != 0:
        say(f"the guards are still on the range: {done.stdout}{done.stderr}".strip())


TROUBLE = (AssertionError, OSError, psycopg2.Error, StackError)
"""What a look at a stack that is being killed may end in."""
