"""Hold of all API servers: the engine through its guards against a bare script, turn about."""

from __future__ import annotations

import os
import select
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gamedays.drivers.fleet import Fleet, Phase, Reply
from gamedays.scenarios.plan import NodeFault
from practice import nodes
from practice.plan import Plan
from tests.bench.cluster import api_server_pids, await_settled, proxy_ready
from tests.bench.engine import orders_on
from tests.bench.report import Report, compared, unmeasured
from tests.bench.troubles import TROUBLES
from tests.stack.running import wait_until

PAIRS = 5
HOLD_S = 15.0
"""Longer than the range's longest kubelet back-off, so that none is still running at the undo."""
ORDER_HOLD_S = 120
GONE_WITHIN_S = 60.0
READY_WITHIN_S = 240.0
RATIO_LIMIT = 1.2
INJECT, RESTORE = "hold: inject to all API servers gone", "hold: undo to /readyz ok"
SCRIPT = Path(__file__).with_name("bare.sh")


@dataclass(frozen=True, kw_only=True)
class Round:
    """One hold. Seconds."""

    gone_s: float
    ready_s: float
    busy: float
    """Busy share of the machine just before."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One of the two ways to do it: what takes the API servers away, what gives them back."""

    prepare: Callable[[], None]
    hold: Callable[[], None]
    restore: Callable[[], None]
    finish: Callable[[], None]


def measure(report: Report, plan: Plan, fleet: Fleet, say: Callable[[str], None]) -> None:
    """Five pairs in the order A B, B A, A B, …: neither side always has the warmer machine."""
    ours: list[Round] = []
    bare: list[Round] = []
    try:
        for number in range(PAIRS):
            sides = [(ours, _engine(fleet)), (bare, _script(plan))]
            for rounds, way in sides if number % 2 == 0 else reversed(sides):
                rounds.append(_round(plan, way))
                name = "belay" if rounds is ours else "bare"
                last = rounds[-1]
                say(f"pair {number + 1} {name:5}: gone {last.gone_s:.3f} s, "
                    f"ready {last.ready_s:.2f} s")  # fmt: skip
    except TROUBLES as error:
        seen = {"belay": [asdict(one) for one in ours], "bare": [asdict(one) for one in bare]}
        for name in (INJECT, RESTORE):
            report.add(unmeasured(name, "s", str(error), raw=[seen]))
        return
    pairs = list(zip(ours, bare, strict=True))
    note = f"machine busy before each hold: {_percent(ours)} (belay), {_percent(bare)} (bare)"
    report.add(
        compared(
            INJECT,
            [(a.gone_s, b.gone_s) for a, b in pairs],
            "s",
            limit=RATIO_LIMIT,
            note=note,
        )
    )
    report.add(
        compared(RESTORE, [(a.ready_s, b.ready_s) for a, b in pairs], "s", limit=RATIO_LIMIT)
    )


def _round(plan: Plan, way: Way) -> Round:
    busy = await_settled(plan)
    way.prepare()
    try:
        with ThreadPoolExecutor(1) as watcher:
            deaths = Deaths(api_server_pids(plan))
            all_gone = watcher.submit(deaths.all_gone_at, GONE_WITHIN_S)
            began = time.monotonic()
            way.hold()
            gone_s = all_gone.result() - began
        # The hold itself: a stretch of time is what is wanted here, not a condition.
        time.sleep(max(0.0, HOLD_S - gone_s))
        if proxy_ready(plan):
            raise AssertionError("an API server answers in the middle of the hold")
    finally:
        began = time.monotonic()
        way.restore()
    wait_until(
        lambda: proxy_ready(plan),
        within_s=READY_WITHIN_S,
        what="/readyz through the proxy",
        every_s=0.05,
    )
    ready_s = time.monotonic() - began
    way.finish()
    return Round(gone_s=gone_s, ready_s=ready_s, busy=busy)


class Deaths:
    """Waits for processes to end, told by the kernel: no polling, and no process mistaken."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._left = {os.pidfd_open(pid) for pid in pids}

    def all_gone_at(self, within_s: float) -> float:
        """The monotonic time at which the last one ended."""
        poll = select.poll()
        for descriptor in self._left:
            poll.register(descriptor, select.POLLIN)
        give_up_at = time.monotonic() + within_s
        try:
            while self._left:
                ended = poll.poll(max(0.0, give_up_at - time.monotonic()) * 1000)
                if not ended:
                    raise AssertionError(f"an API server still runs after {within_s:g} s")
                for descriptor, _ in ended:
                    poll.unregister(descriptor)
                    os.close(descriptor)
                    self._left.discard(descriptor)
            return time.monotonic()
        finally:
            for descriptor in self._left:
                os.close(descriptor)


def _engine(fleet: Fleet) -> Way:
    """The calls that a conductor makes, on orders of their own."""
    order_id = str(uuid.uuid4())
    fault = NodeFault(kind="hold", component="kube-apiserver", hold_s=ORDER_HOLD_S)

    def all_undone() -> bool:
        reports = orders_on(fleet, order_id).values()
        return all(report is not None and report.phase is Phase.UNDONE for report in reports)

    return Way(
        prepare=lambda: require(fleet.arm(order_id, dict.fromkeys(fleet.nodes, fault))),
        hold=lambda: require(fleet.inject(order_id, fleet.nodes)),
        restore=lambda: require(fleet.undo(order_id, fleet.nodes)),
        finish=lambda: _await(all_undone, "every guard says that it is undone"),
    )


def _script(plan: Plan) -> Way:
    def run(verb: str) -> None:
        subprocess.run(["/bin/sh", str(SCRIPT), verb, *places], check=True, timeout=60)

    inits = {node.name: nodes.init_pid(node) for node in plan.nodes}
    if not all(inits.values()):
        raise AssertionError(f"a node is not running: {inits}")
    places = [f"{inits[node.name]}:{node.root}" for node in plan.nodes]
    return Way(
        prepare=lambda: None,
        hold=lambda: run("hold"),
        restore=lambda: run("restore"),
        finish=lambda: None,
    )


def require(replies: Mapping[str, Reply[Any]]) -> None:
    errors = [f"{node}: {reply.error}" for node, reply in replies.items() if not reply.ok]
    if errors:
        raise AssertionError("; ".join(errors))


def _await(look: Callable[[], bool], what: str) -> None:
    wait_until(look, within_s=READY_WITHIN_S, what=what, every_s=0.5)


def _percent(rounds: list[Round]) -> str:
    return ", ".join(f"{one.busy:.0%}" for one in rounds)
