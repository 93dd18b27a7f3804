"""Whether the rows of a run say what the nodes say: pure functions on what was seen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DEADLINE_S = 60.0
"""The guards' hard deadline lies this long after the hold."""
SLACK_S = 10.0
"""For a busy machine between a guard's deadline and its note of the undo."""
CLOCK_S = 1.0
_PROCESS_KINDS = ("hold", "kill", "flag")

Order = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One run when its row said that it was over."""

    run_id: str
    row: Mapping[str, Any]
    states: Sequence[str]
    orders: Mapping[str, Order | None]
    """Per node the order in its guard's journal, of whatever run."""
    tombstones: Mapping[str, frozenset[str]]
    old_processes_alive: Sequence[str]
    """Nodes on which a target's process from before the run still lives."""
    slots_held: int
    guard_stopped_s: float = 0.0
    """For how long we kept a guard stopped: its undo may be late by so much."""

    @property
    def mine(self) -> dict[str, Order]:
        """The orders of this very run."""
        return {
            node: order
            for node, order in self.orders.items()
            if order and order["recipe"]["order_id"] == self.run_id
        }

    @property
    def injected(self) -> dict[str, Order]:
        return {node: order for node, order in self.mine.items() if order["injected_at"]}


def disagreements(seen: Seen) -> list[str]:
    """Every way in which the rows and the nodes contradict each other, as sentences."""
    state = seen.row["state"]
    wrong = _on_injecting(seen)
    if seen.slots_held:
        wrong.append(f"the row is {state} and {seen.slots_held} slot(s) are still taken")
    if state == "refused":
        wrong += [f"refused, and {node} has its order" for node in seen.mine]
    elif state == "clean":
        wrong += _on_clean(seen)
    else:
        wrong.append(f"the run ended as {state}: {seen.row['reason']}")
    return wrong


def _on_injecting(seen: Seen) -> list[str]:
    times = list(seen.states).count("injecting")
    wrong = []
    if times > 1:
        wrong.append(f"the timeline says injecting {times} times")
    if seen.injected and times == 0:
        wrong.append(f"{', '.join(seen.injected)} injected, and the row never said so")
    return wrong


def _on_clean(seen: Seen) -> list[str]:
    row, targets = seen.row, sorted(seen.row["recipe"].get("faults", {}))
    wrong = []
    if not targets:
        wrong.append("clean after arming, and the recipe names no node")
    for node in targets:
        order = seen.mine.get(node)
        if order is not None and order["phase"] != "undone":
            wrong.append(f"clean, and {node}'s order is {order['phase']}")
        if seen.run_id not in seen.tombstones.get(node, frozenset()):
            wrong.append(f"clean, and {node} would still take the order")
    wrong += _on_bite(seen, targets)
    wrong += _on_verdict(seen)
    for node, order in seen.injected.items():
        wrong += _on_time(seen, node, order)
    if row["restored_at"] is None:
        wrong.append("clean, and nothing says when it was restored")
    return wrong


def _on_bite(seen: Seen, targets: Sequence[str]) -> list[str]:
    if seen.row["bitten_at"] is None:
        return []
    wrong = [
        f"the row says bitten, and {node} never injected"
        for node in targets
        if node not in seen.injected
    ]
    kinds = {fault["kind"] for fault in seen.row["recipe"]["faults"].values()}
    if kinds & set(_PROCESS_KINDS):
        wrong += [
            f"the row says bitten, and the old process on {node} runs on"
            for node in seen.old_processes_alive
        ]
    return wrong


def _on_verdict(seen: Seen) -> list[str]:
    row, verdict = seen.row, seen.row["verdict"]
    if verdict not in ("held", "broke", "inconclusive"):
        return [f"clean with the verdict {verdict!r}"]
    if verdict == "inconclusive":
        return []
    wrong = []
    if row["doubt"]:
        wrong.append(f"{verdict}, although: {row['doubt']}")
    if row["bitten_at"] is None and verdict == "held":
        wrong.append("held, and nothing was seen to bite")
    if verdict == "held":
        wrong += [
            f"held, and the guard on {node} ended the fault by itself ({order['undo_reason']})"
            for node, order in seen.injected.items()
            if order["undo_reason"] != "requested"
        ]
    return wrong


def _on_time(seen: Seen, node: str, order: Order) -> list[str]:
    wrong = []
    live_s = at(order["undo_asked_at"]) - at(order["injected_at"])
    most_s = order["recipe"]["fault"]["hold_s"] + DEADLINE_S + SLACK_S + seen.guard_stopped_s
    if live_s > most_s:
        wrong.append(f"{node} kept the fault for {live_s:.1f} s, past its deadline ({most_s:.0f})")
    restored = seen.row["restored_at"]
    if restored is not None and at(restored) + CLOCK_S < at(order["undone_at"]):
        wrong.append(f"the row says restored before {node} was undone")
    return wrong


def restoration_s(seen: Seen) -> float | None:
    """From the first ask for the undo, by whomever, to the proof; None where nothing was broken."""
    restored = seen.row["restored_at"]
    if restored is None or not seen.injected:
        return None
    asked = [at(order["undo_asked_at"]) for order in seen.injected.values()]
    if seen.row["undo_asked_at"] is not None:
        asked.append(at(seen.row["undo_asked_at"]))
    return at(restored) - min(asked)


def at(moment: str | dt.datetime) -> float:
    """Seconds since 1970 of a time in a row or a journal."""
    if isinstance(moment, str):
        moment = dt.datetime.fromisoformat(moment)
    return moment.timestamp()
