"""One run: started, struck as planned, followed until it is over."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from config.stack.processes import ProcessMark
from tests.chaos.plan import GUARDS, STATES, Fault, Process, Strike, Way
from tests.chaos.rows import FINAL, PatientRows
from tests.chaos.victims import Victims, send

STEP_WITHIN_S = 30.0
SHORT = ("arming", "armed", "injecting")
"""States that may last for milliseconds only."""
FRESH_S = 2.0
"""With a longer gap between two looks at the row, nobody knows for how long it has said so."""
LOOK_S, LOOK_CLOSELY_S = 0.02, 0.002


@dataclass(frozen=True, kw_only=True)
class Struck:
    """A strike that hit; `state` is what the row said at that moment, `at_s` since the start."""

    strike: Strike
    node: str
    state: str
    at_s: float

    def __str__(self) -> str:
        whom = f"{self.strike.process}@{self.node}" if self.node else str(self.strike.process)
        what = "killed" if self.strike.way is Way.KILL else f"stopped {self.strike.stopped_s:g} s"
        return f"{whom} {what} in {self.state} +{self.at_s:.1f}s"


@dataclass(kw_only=True)
class Told:
    """How a run went, as we followed it."""

    run_id: str
    state: str | None = None
    """The last one seen; not a final one when it did not end in time."""
    struck: list[Struck] = field(default_factory=list)
    missed: list[Strike] = field(default_factory=list)
    not_seen: list[str] = field(default_factory=list)
    """What the row called live, and was not there when it was looked for."""
    took_s: float = 0.0


class Story:
    """Follows one run and strikes. `stop_asked` ends the striking, never the following."""

    def __init__(
        self, *, rows: PatientRows, victims: Victims, fault: Fault, strikes: tuple[Strike, ...]
    ) -> None:
        self._rows = rows
        self._victims = victims
        self._began = time.monotonic()
        self._pending = [(strike, self._node(strike, fault)) for strike in strikes]
        self._trees = {strike: victims.tree(strike.process, node) for strike, node in self._pending}
        self._conductor = victims.tree(Process.WORKER_FAULTS, "")
        self._told = Told(run_id="")

    @staticmethod
    def _node(strike: Strike, fault: Fault) -> str:
        if strike.process not in GUARDS:
            return ""
        return fault.nodes[strike.draw % len(fault.nodes)]

    def run(
        self,
        start: Callable[[], str],
        *,
        abort: Callable[[str], None],
        look_for_bite: Callable[[], list[str]],
        within_s: float,
        stop_asked: Callable[[], bool],
    ) -> Told:
        """Start it, and follow it until the row is final; `within_s` seconds at most.

        `look_for_bite` is called once, as soon as the row says that the fault is live.
        """
        self._start(start)
        aborted = looked = False
        seen_at = time.monotonic()
        while time.monotonic() - self._began < within_s:
            self._victims.resume()
            state = self._state()
            self._told.state = state or self._told.state
            if stop_asked() and not aborted and not self._victims.stopped(Process.POSTGRES):
                self._pending, aborted = [], True
                self._victims.resume(everybody=True)
                abort(self._told.run_id)
            if state == "active" and not looked:
                # Rows that were away meanwhile may lag behind an undo that came first.
                looked, fresh = True, time.monotonic() - seen_at < FRESH_S
                self._told.not_seen = look_for_bite() if fresh else []
            if state is not None:
                seen_at = time.monotonic()
            self._strike_what_is_due(state)
            if state in FINAL:
                break
            time.sleep(LOOK_CLOSELY_S if self._must_look_closely(state) else LOOK_S)
        self._victims.resume(everybody=True)
        self._told.missed += [strike for strike, _ in self._pending]
        self._told.took_s = time.monotonic() - self._began
        return self._told

    def _start(self, start: Callable[[], str]) -> None:
        """A strike on `planned` comes while nobody can have taken the message yet."""
        early = [one for one in self._pending if one[0].state == "planned"]
        if early:
            send(self._conductor, signal.SIGSTOP)
        try:
            self._told.run_id = start()
            self._began = time.monotonic()
            for strike, node in early:
                self._hit(strike, node, self._state())
        finally:
            if early:
                send(self._conductor, signal.SIGCONT)

    def _state(self) -> str | None:
        if self._victims.stopped(Process.POSTGRES):
            return None
        return self._rows.state(self._told.run_id)

    def _must_look_closely(self, state: str | None) -> bool:
        if state is None or state not in STATES:
            return False
        wanted = {strike.state for strike, _ in self._pending}
        onward = STATES.index(state) + 1
        return onward < len(STATES) and STATES[onward] in wanted

    def _strike_what_is_due(self, state: str | None) -> None:
        for strike, node in list(self._pending):
            if not strike.state:
                if time.monotonic() - self._began >= strike.after_s and state not in FINAL:
                    self._hit(strike, node, state)
            elif state == strike.state:
                self._hit(strike, node, state)
            elif state == "arming" and strike.state in SHORT:
                self._step_to(strike, node)
            elif _is_past(state, strike.state):
                self._pending.remove((strike, node))
                self._told.missed.append(strike)

    def _step_to(self, strike: Strike, node: str) -> None:
        """Let the conductor run in slices of a millisecond until the row says the state, so that
        a state of a few milliseconds is met for sure."""
        if self._victims.stopped(Process.WORKER_FAULTS) or self._victims.stopped(Process.POSTGRES):
            return
        give_up_at = time.monotonic() + STEP_WITHIN_S
        try:
            while time.monotonic() < give_up_at:
                send(self._conductor, signal.SIGSTOP)
                state = self._state()
                if state == strike.state:
                    self._hit_within(strike, node, state)
                    return
                if state is None or _is_past(state, strike.state) or state == "undoing":
                    return
                send(self._conductor, signal.SIGCONT)
                time.sleep(0.001)
        finally:
            stays = strike.process is Process.WORKER_FAULTS and strike.way is Way.STOP
            if not stays:
                send(self._conductor, signal.SIGCONT)

    def _hit_within(self, strike: Strike, node: str, state: str) -> None:
        """At once, or as far into the state as the strike says; the conductor goes on meanwhile."""
        now: str | None = state
        if strike.into_state_s:
            send(self._conductor, signal.SIGCONT)
            time.sleep(strike.into_state_s)
            now = self._state()
        self._hit(strike, node, now)

    def _hit(self, strike: Strike, node: str, state: str | None) -> None:
        self._pending.remove((strike, node))
        tree: tuple[ProcessMark, ...] = self._trees[strike]
        at_s = time.monotonic() - self._began
        if self._victims.hit(strike, tree, node):
            if strike.process is Process.POSTGRES:
                self._rows.forget()
            self._told.struck.append(
                Struck(strike=strike, node=node, state=state or "unknown", at_s=at_s)
            )
        else:
            self._told.missed.append(strike)


def _is_past(state: str | None, wanted: str) -> bool:
    """Whether a run in that state will never come to the wanted one any more."""
    if state in FINAL:
        return state != wanted
    if state not in STATES or wanted not in STATES:
        return False
    return STATES.index(state) > STATES.index(wanted)
