"""The invariants, held against the cluster itself and the rows in plain SQL.

Nothing here is imported from the engine or from the guard's rules: what a guard keeps on its disk
is read as JSON, what went over the wire as it was heard, and rows by SELECT.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from tests.simulator.host import ORDER_FILE
from tests.simulator.machine import Effect, Strike
from tests.simulator.objects import ObjectEffect

if TYPE_CHECKING:
    from tests.simulator.universe import Universe

LEASE_S = 45.0
DEADLINE_S = 60.0
"""The dead-man switch of a guard: by lease, and by hold plus this."""
SLACK_S = 8.0
"""From the guard's decision until the manifest is back: the old container goes first."""
UNSEEN_S = 2.5
"""What somebody puts back so shortly before the undo, neither guard nor conductor had to see."""
_FINAL = ("clean", "refused", "resolved_by_hand")
_DISARMED = ("undone",)


class Checker:
    """Watches one universe from beside it; `problems` are sentences about what was violated."""

    def __init__(self, universe: Universe, injection_id: uuid.UUID, hold_s: int) -> None:
        self.universe = universe
        self.order_id = str(injection_id)
        self.hold_s = hold_s
        self.problems: list[str] = []
        self.trail: list[tuple[float, str]] = []
        self.edited: set[str] = set()
        """Nodes where a person put a manifest of their own: not ours to restore."""
        self._first_hits: dict[tuple[str, str, str], float] = {}
        for machine in universe.machines.values():
            machine.on_strike = self._on_strike
        universe.database.on_commit.append(self._on_commit)
        universe.database.on_renewal = self._on_renewal

    def say(self, invariant: str, sentence: str) -> None:
        self.problems.append(f"{invariant}: {sentence} (at {self.universe.kernel.now:.3f} s)")

    # -- when something is broken -----------------------------------------------------------------

    def _on_strike(self, strike: Strike) -> None:
        on_disk = self._durable_order(strike.node)
        phase = on_disk.get("phase")
        if on_disk.get("recipe", {}).get("order_id") != strike.order_id:
            self.say("armed before", f"{strike} but the node's disk holds {on_disk or 'no order'}")
        if self._undone_was_told(strike.node, strike.order_id):
            self.say("nothing after its tombstone", f"{strike} after the guard said undone")
        self._one_at_a_time(strike)
        if phase == "injecting" or strike.what == "take":
            self._once(strike, phase)
        elif phase not in ("injected", "undoing", "stuck"):
            self.say("intent on disk", f"{strike} while the disk says {phase}")

    def _once(self, strike: Strike, phase: str | None) -> None:
        """A first strike in phase injecting; a later `take` only as the undo's one nudge. Objects
        are hit one after the other, each of them once."""
        of_object = strike.what if strike.component is None and strike.what != "cut" else ""
        key = (strike.node, strike.order_id, of_object)
        first = self._first_hits.setdefault(key, strike.at)
        if phase == "injecting" and strike.at == first:
            self._everywhere_armed(strike)
            return
        takes = [
            one
            for one in self.universe.machines[strike.node].strikes
            if one.what == "take" and one.order_id == strike.order_id
        ]
        if phase not in ("undoing", "stuck") or len(takes) > 2:
            self.say("injected at most once", f"{strike} in phase {phase}, first at {first:.3f}")

    def _everywhere_armed(self, strike: Strike) -> None:
        """Before the first target is hit, every target has the order on its disk."""
        found = self.universe.database.select(
            "SELECT recipe, state FROM gamedays_injection WHERE id = %s", strike.order_id
        )
        if not found or not found[0][0]:
            return  # another installation's order, or a row that a backup took back
        recipe, state = json.loads(found[0][0]), found[0][1]
        for node in recipe.get("faults", {}):
            held = self._durable_order(node).get("recipe", {}).get("order_id")
            if held != strike.order_id:
                self.say("armed before", f"{strike.node} is hit while {node} holds {held}")
        if state in ("planned", "preflight", "arming", "armed", *_FINAL) and self.was_not_restored:
            self.say("injecting is committed first", f"{strike} while the row says {state}")

    was_not_restored = True

    def _one_at_a_time(self, strike: Strike) -> None:
        for machine in self.universe.machines.values():
            for effect in machine.effects:
                if effect.until is None and effect.order_id != strike.order_id:
                    self.say("one live fault", f"{strike} while {effect} is live")

    # -- when a row changes -----------------------------------------------------------------------

    def _on_commit(self) -> None:
        state = self.universe.database.state(uuid.UUID(self.order_id))
        if self.trail and self.trail[-1][1] == state:
            return
        self.trail.append((self.universe.kernel.now, state))
        if state in ("observing", "clean"):
            self._row_says_restored(state)
        if state == "refused" and self._strikes(self.order_id) and self.was_not_restored:
            self.say("rows agree", "the row says refused, and something was broken")
        if state == "clean":
            self._verdict_is_earned()

    def _on_renewal(self, injection_id: uuid.UUID, fence: int) -> None:
        found = self.universe.database.select(
            "SELECT fence FROM gamedays_lease WHERE injection_id = %s", injection_id
        )
        if found and found[0][0] != fence:
            self.say("a stale fence changes nothing", f"fence {fence} renewed over {found[0][0]}")

    def _row_says_restored(self, state: str) -> None:
        for machine in self.universe.machines.values():
            for component, original in machine.original.items():
                found = machine.manifests.get(component)
                if found is None or (found != original and machine.name not in self.edited):
                    self.say(
                        "rows agree", f"{state} while {component} on {machine.name} is {found}"
                    )

            if machine.up and machine.rules.listed():
                self.say("rows agree", f"{state} while {machine.name} still drops packets")
        for sentence in self.universe.objects.left():
            self.say("rows agree", f"{state} while {sentence}")

    def _verdict_is_earned(self) -> None:
        row = self._row(
            "verdict, bitten_at, undo_asked_at, abort_requested_at < undo_asked_at, recipe, doubt"
        )
        verdict, bitten_at, undo_asked_at, cut_short, recipe, doubt = row
        if verdict != "held":
            return
        if cut_short or doubt:
            self.say("no green from an unclean run", f"held, though aborted or in doubt: {doubt}")
        if bitten_at is None or undo_asked_at is None:
            self.say("no green from an unclean run", "held, though nothing was seen to bite")
            return
        for node in json.loads(recipe)["faults"]:
            hits = [s for s in self._strikes(self.order_id) if s.node == node]
            if not hits:
                self.say("no green from an unclean run", f"held, and {node} was never hit")
        undoing = [at for at, state in self.trail if state == "undoing"]
        for effect in self._effects():
            slack_s = 0.5 if isinstance(effect, Effect) else UNSEEN_S
            if not undoing or (effect.until or 1e9) < undoing[0] - slack_s:
                self.say("no green from an unclean run", f"held; {effect} ended early")

    # -- at the end -------------------------------------------------------------------------------

    def check_the_end(self) -> list[str]:
        """After healing and T: nothing is left, and the rows say so."""
        self._on_time()
        self._nothing_armed_after_its_tombstone()
        (state,) = self._row("state")
        if state not in _FINAL:
            self.say("ends", f"the row still says {state}; trail {self.trail}")
        for machine in self.universe.machines.values():
            if not machine.is_as_before():
                missing = [one for one in machine.original if one not in machine.manifests]
                down = [one for one, runs in machine.running.items() if runs is None]
                self.say(
                    "nothing is left",
                    f"{machine.name}: no manifest of {missing}, no process of {down},"
                    f" stashes {list(machine.stashes)}",
                )
            if phase := self.kept_phase(machine.name):
                self.say("nothing is left", f"the guard of {machine.name} keeps a {phase} order")
        for sentence in self.universe.objects.left():
            self.say("nothing is left", sentence)
        slots = self.universe.database.select(
            "SELECT count(*) FROM core_slotclaim WHERE holder = %s AND released_at IS NULL",
            self.order_id,
        )
        if state in _FINAL and slots[0][0]:
            self.say("rows agree", f"the row says {state}, and the slot is still held")
        for name, error in self.universe.kernel.crashes:
            if type(error).__name__ not in ("RowsLostError", "OperationalError"):
                self.say("no surprise", f"{name} ended with {error!r}")
        return self.problems

    def kept_phase(self, node: str) -> str:
        """The phase of an order that is still live in the guard's journal; empty: none is."""
        phase = str(self._cached_order(node).get("phase", "undone"))
        return "" if phase in _DISARMED else phase

    def _nothing_armed_after_its_tombstone(self) -> None:
        over: set[tuple[str, str]] = set()
        for heard in self.universe.network.heard:
            if heard.status != 200 or not heard.order_id:
                continue
            if heard.verb in ("arm", "inject") and (heard.node, heard.order_id) in over:
                self.say("nothing after its tombstone", f"{heard.verb} was accepted: {heard}")
            if heard.verb == "undo" and heard.answer.get("phase") == "undone":
                over.add((heard.node, heard.order_id))

    def _on_time(self) -> None:
        """Guards alone bring every effect down: by lease, and by the hard deadline."""
        for machine in self.universe.machines.values():
            host = self.universe.hosts[machine.name]
            orders: set[str] = set()
            for effect in machine.effects:
                nudge = effect.order_id in orders
                orders.add(effect.order_id)
                if nudge:
                    continue  # the undo's own, two seconds long
                until = effect.until if effect.until is not None else self.universe.kernel.now
                limit = self.hold_s + DEADLINE_S + SLACK_S
                lasted = until - effect.since - host.was_down_s(effect.since, until)
                if lasted > limit:
                    self.say("by the deadline", f"{effect} lasted {lasted:.0f} s")
                heard = self._last_heard(effect, until)
                alone = until - heard - host.was_down_s(heard, until)
                if alone > LEASE_S + SLACK_S:
                    self.say("by the lease", f"{effect}: {alone:.0f} s after the last renewal")

        self._objects_on_time()

    def _objects_on_time(self) -> None:
        """The same for objects, wherever their API answered the guard all the while."""
        objects = self.universe.objects
        for effect in objects.effects:
            until = effect.until if effect.until is not None else self.universe.kernel.now
            if any(effect.since <= at <= until for at in objects.unserved):
                continue
            down_s = self.universe.hosts[effect.node].was_down_s(effect.since, until)
            if until - effect.since - down_s > self.hold_s + DEADLINE_S + SLACK_S:
                self.say("by the deadline", f"{effect} lasted {until - effect.since:.0f} s")
            heard = self._last_heard(effect, until)
            alone = until - heard - self.universe.hosts[effect.node].was_down_s(heard, until)
            if alone > LEASE_S + SLACK_S:
                self.say("by the lease", f"{effect}: {alone:.0f} s after the last renewal")

    def _last_heard(self, effect: Effect | ObjectEffect, until: float) -> float:
        return max(
            (
                heard.at
                for heard in self.universe.network.heard
                if heard.node == effect.node
                and heard.order_id == effect.order_id
                and heard.status == 200
                and heard.verb in ("arm", "renew")
                and heard.at <= until
            ),
            default=effect.since,
        )

    # -- looking ----------------------------------------------------------------------------------

    def _strikes(self, order_id: str) -> list[Strike]:
        machines = self.universe.machines.values()
        return [s for machine in machines for s in machine.strikes if s.order_id == order_id]

    def _effects(self) -> list[Effect | ObjectEffect]:
        """Those that last; of a pod that was ended nothing has an end."""
        machines = self.universe.machines.values()
        everything: list[Effect | ObjectEffect] = [
            *(effect for machine in machines for effect in machine.effects),
            *self.universe.objects.effects,
        ]
        return [effect for effect in everything if effect.order_id == self.order_id]

    def _durable_order(self, node: str) -> dict[str, Any]:
        return _order_in(self.universe.machines[node].disk.durable.get(ORDER_FILE))

    def _cached_order(self, node: str) -> dict[str, Any]:
        return _order_in(self.universe.machines[node].disk.cached.get(ORDER_FILE))

    def _undone_was_told(self, node: str, order_id: str) -> bool:
        return any(
            heard.node == node
            and heard.verb == "undo"
            and heard.order_id == order_id
            and heard.status == 200
            and heard.answer.get("phase") == "undone"
            for heard in self.universe.network.heard
        )

    def _row(self, columns: str) -> tuple[Any, ...]:
        found = self.universe.database.select(
            f"SELECT {columns} FROM gamedays_injection WHERE id = %s",  # noqa: S608  our own words
            self.order_id,
        )
        return found[0] if found else ("gone",) * len(columns.split(","))


def _order_in(data: bytes | None) -> dict[str, Any]:
    if data is None:
        return {}
    order: dict[str, Any] = json.loads(data)["order"]
    return order
