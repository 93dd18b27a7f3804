"""Makes a schedule's events happen, and notes in which state of the row each of them fell."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from core.errors import Conflict, DomainError
from core.models import EmergencyStop
from core.selectors import current_stop
from gamedays.operations.emergency import set_emergency_stop
from gamedays.operations.runs import abort_injection, start_gameday
from gamedays.scenarios.plan import NodeFault
from tests.simulator.aims import component_of, object_of
from tests.simulator.belay import Guards
from tests.simulator.kernel import Process
from tests.simulator.objects import NODE
from tests.simulator.operations import Break, Trap
from tests.simulator.schedule import Event, Schedule, What

if TYPE_CHECKING:
    from gamedays.models import Gameday, Injection
    from tests.people import Cast
    from tests.simulator.checker import Checker
    from tests.simulator.host import GuardHost
    from tests.simulator.machine import Machine
    from tests.simulator.universe import Universe

PERSON_S = 25.0
"""Until a person settles what only a person can settle."""


class Troubles:
    def __init__(
        self,
        *,
        universe: Universe,
        cast: Cast,
        gameday: Gameday,
        injection: Injection,
        checker: Checker,
        schedule: Schedule,
    ) -> None:
        self.universe = universe
        self.cast = cast
        self.gameday = gameday
        self.injection = injection
        self.checker = checker
        self.covered: Counter[tuple[str, str]] = Counter()
        self._waiting = list(schedule.events)
        self._component = component_of(schedule)
        self._object = object_of(schedule)
        self._under_way = 0
        self.stopped_at: float | None = None
        self._do: dict[What, Callable[[Event], None]] = {
            What.CONDUCTOR_KILLED: lambda _event: self._each_conductor(Process.kill),
            What.CONDUCTOR_STOPPED: self._conductor_stopped,
            What.CONDUCTOR_TOLD_TO_STOP: lambda _event: self._each_conductor(
                universe.belay.tell_to_stop
            ),
            What.KILLED_BEFORE_STEP: lambda event: self._trap(event, Break.KILL_BEFORE),
            What.KILLED_AFTER_STEP: lambda event: self._trap(event, Break.KILL_AFTER),
            What.STOPPED_BEFORE_STEP: lambda event: self._trap(event, Break.STOP_BEFORE),
            What.STEP_ANSWER_LOST: lambda event: self._trap(event, Break.LOSE_ANSWER),
            What.WATCHDOG_KILLED: lambda _event: self._watchdog().kill(),
            What.WATCHDOG_STOPPED: self._watchdog_stopped,
            What.ALL_OF_OURS_KILLED: self._all_killed,
            What.GUARD_KILLED: lambda event: self._host(event).kill(),
            What.GUARD_STOPPED: lambda event: self._host(event).stop(event.seconds),
            What.GUARD_GONE: self._guard_gone,
            What.GUARD_KILLED_AT_WRITE: self._killed_at_write,
            What.POWER_CUT: self._power_cut,
            What.POWER_CUT_AT_WRITE: self._power_cut_at_write,
            What.PARTITION: lambda event: self._cut([self._node(event)], "*", event),
            What.PARTITION_ALL: lambda event: self._cut(list(universe.hosts), "*", event),
            What.CONDUCTOR_CUT_OFF: self._conductor_cut_off,
            What.ANSWERS_LOST: self._answers_lost,
            What.MESSAGES_LOST: lambda event: self._messages(event, "lose"),
            What.MESSAGES_DOUBLED: lambda event: self._messages(event, "double"),
            What.MESSAGES_DELAYED: lambda event: self._messages(event, "delay"),
            What.CLOCK_FORWARD: lambda event: self._step_clock(event, dt.timedelta(hours=1)),
            What.CLOCK_BACK: lambda event: self._step_clock(event, dt.timedelta(hours=-1)),
            What.DISK_FULL: self._disk_full,
            What.DATABASE_AWAY: self._database_away,
            What.DATABASE_RESTORED: self._restored,
            What.ABORT: self._abort,
            What.EMERGENCY_STOP: self._emergency_stop,
            What.CONDUCT_AGAIN: self._conduct_again,
            What.OLDER_INSTALLATION: self._older_installation,
            What.SECOND_FAULT_ASKED: self._second_fault,
            What.TARGET_EDITED: self._edited,
            What.FAULT_REVERTED: self._reverted,
            What.TARGET_TOUCHED: lambda _event: self._touched(),
            What.ACCOUNT_REVOKED: self._revoked,
            What.API_AWAY: self._api_away,
            What.API_ANSWER_LOST: lambda event: self._api_breaks(event, "lose-answer"),
            What.API_CHANGE_LATE: lambda event: self._api_breaks(event, "late"),
            What.KUBELET_STOPPED: self._kubelet_stopped,
        }

    @property
    def over(self) -> bool:
        """Nothing more will happen, and what lasts is over."""
        return (
            not self._under_way
            and not self.universe.operations.asleep
            and (not self._waiting or self._state() in ("clean", "refused", "resolved_by_hand"))
        )

    def begin(self) -> None:
        self._seen: set[str] = set()
        self.universe.database.on_commit.append(self._on_commit)
        self._on_commit()

    def _on_commit(self) -> None:
        state = self._state()
        if state in self._seen or not state:
            return
        self._seen.add(state)
        if any(event.what is What.DATABASE_RESTORED for event in self._waiting):
            self.universe.database.back_up(state)
        due = [event for event in self._waiting if event.when == state]
        self._waiting = [event for event in self._waiting if event.when != state]
        for event in due:
            self._under_way += 1
            self.universe.kernel.after(event.after_s, lambda event=event: self._happen(event))  # type: ignore[misc]

    def _happen(self, event: Event) -> None:
        self.covered[self._state(), event.what] += 1
        try:
            self._do[event.what](event)
        finally:
            self._under_way -= 1

    # -- small things -----------------------------------------------------------------------------

    def _state(self) -> str:
        return self.universe.database.state(self.injection.pk)

    def _node(self, event: Event) -> str:
        return sorted(self.universe.hosts)[event.node % len(self.universe.hosts)]

    def _host(self, event: Event) -> GuardHost:
        return self.universe.hosts[self._node(event)]

    def _machine(self, event: Event) -> Machine:
        return self.universe.machines[self._node(event)]

    def _watchdog(self) -> Process:
        assert self.universe.belay.watchdog is not None
        return self.universe.belay.watchdog

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        """Something that the schedule is not over without."""
        self._under_way += 1

        def act() -> None:
            self._under_way -= 1
            call()

        self.universe.kernel.after(seconds, act)

    def _each_conductor(self, do: Callable[[Process], None]) -> None:
        for process in self.universe.belay.conductors:
            if process.alive:
                do(process)

    # -- processes of ours ------------------------------------------------------------------------

    def _conductor_stopped(self, event: Event) -> None:
        def stop(process: Process) -> None:
            process.stop()
            self._later(event.seconds, process.go_on)

        self._each_conductor(stop)

    def _watchdog_stopped(self, event: Event) -> None:
        process = self._watchdog()
        if process.runs:
            process.stop()
            self._later(event.seconds, process.go_on)

    def _all_killed(self, event: Event) -> None:
        self._each_conductor(Process.kill)
        watchdog = self._watchdog()
        watchdog.on_death.clear()
        watchdog.kill()
        self._later(max(event.seconds, 60.0), self.universe.belay.start_watchdog)

    def _trap(self, event: Event, breaks: Break) -> None:
        trap = Trap("", breaks, skip=event.skip, stop_s=event.seconds)
        self.universe.operations.traps.append(trap)

    # -- nodes and guards -------------------------------------------------------------------------

    def _guard_gone(self, event: Event) -> None:
        self._host(event).go_away(event.seconds)
        self._later(event.seconds, lambda: None)

    def _killed_at_write(self, event: Event) -> None:
        host = self._host(event)
        self._at_write(event, host.kill)

    def _power_cut(self, event: Event) -> None:
        host = self._host(event)
        if host.machine.up:
            self._later(event.seconds + 8.0, lambda: None)
            host.reboot(event.seconds, lucky=event.lucky)

    def _power_cut_at_write(self, event: Event) -> None:
        self._at_write(event, lambda: self._power_cut(event))

    def _at_write(self, event: Event, act: Callable[[], None]) -> None:
        disk, left = self._machine(event).disk, event.skip

        def hit() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                disk.before_write = disk.after_write = lambda: None
                act()

        if event.lucky:
            disk.after_write = hit
        else:
            disk.before_write = hit

    def _disk_full(self, event: Event) -> None:
        disk = self._machine(event).disk
        disk.full = True
        self._later(event.seconds, lambda: setattr(disk, "full", False))

    def _kubelet_stopped(self, event: Event) -> None:
        machine = self._machine(event)
        machine.kubelet_runs = False
        self._later(event.seconds, lambda: setattr(machine, "kubelet_runs", True))

    def _reverted(self, event: Event) -> None:
        if self._object:
            self.universe.objects.put_back(self._object)
        else:
            self._machine(event).revert(self._component)

    def _touched(self) -> None:
        self.universe.objects.touch(self._object or NODE)

    def _revoked(self, event: Event) -> None:
        objects = self.universe.objects
        objects.revoked_as = 401 if event.lucky else 403
        objects.revoked_until = self.universe.kernel.now + event.seconds
        self._later(event.seconds, lambda: None)

    def _api_away(self, event: Event) -> None:
        self.universe.objects.away_until = self.universe.kernel.now + event.seconds
        self._later(event.seconds, lambda: None)

    def _api_breaks(self, event: Event, kind: str) -> None:
        """The next change that a guard sends; with `skip`, one after it."""
        faults = self.universe.objects.faults
        faults.extend([("", 0.0)] * event.skip)
        faults.append((kind, min(event.seconds, 14.0)))

    def _object_edited(self, event: Event) -> None:
        """Before there is an order their change is over at once: what is broken is the original."""
        objects, path = self.universe.objects, self._object
        objects.edit(path)
        if self._state() in ("planned", "preflight"):
            objects.put_back(path)
        elif path in objects.edited:
            self._later(event.seconds + PERSON_S, lambda: objects.put_back(path))

    def _edited(self, event: Event) -> None:
        if self._object:
            self._object_edited(event)
            return
        machine = self._machine(event)
        machine.edit(self._component)
        if self._state() in ("planned", "preflight"):
            # As with objects: what lasts into the fault would be the original, for good.
            machine.take_edits_away()
            return
        self.checker.edited.add(machine.name)

        def settle() -> None:
            machine.take_edits_away()
            if machine.manifests.get(self._component) == machine.original[self._component]:
                self.checker.edited.discard(machine.name)
            else:
                self._later(PERSON_S, settle)

        self._later(event.seconds + PERSON_S, settle)

    # -- wires ------------------------------------------------------------------------------------

    def _cut(self, nodes: list[str], process: str, event: Event) -> None:
        for node in nodes:
            self.universe.network.cut(node, process, event.seconds)
        self._later(event.seconds, lambda: None)

    def _conductor_cut_off(self, event: Event) -> None:
        for process in self.universe.belay.conductors:
            self._cut([self._node(event)], process.name, event)

    def _answers_lost(self, event: Event) -> None:
        wire = self.universe.network.wires[self._node(event)]
        wire.deaf_until = self.universe.kernel.now + event.seconds
        self._later(event.seconds, lambda: None)

    def _messages(self, event: Event, kind: str) -> None:
        wire = self.universe.network.wires[self._node(event)]
        wire.faults.extend([("", 0.0)] * event.skip)
        wire.faults.extend([(kind, event.seconds)] * 2)
        self._later(event.seconds + 5.0, lambda: None)

    # -- the rest ---------------------------------------------------------------------------------

    def _step_clock(self, event: Event, by: dt.timedelta) -> None:
        """Set wrong, and set right again after a while: two steps."""
        self.universe.step += by

        def set_right() -> None:
            self.universe.step -= by

        self._later(event.seconds, set_right)

    def _database_away(self, event: Event) -> None:
        database = self.universe.database
        database.away_until = self.universe.kernel.now + event.seconds
        self._later(event.seconds, lambda: None)

    def _restored(self, event: Event) -> None:
        if self.universe.database.restore(event.skip) is None:
            return
        self.checker.was_not_restored = False
        # Beat finds a planned row that nobody claimed, and sends the message again.
        self._later(5.0, lambda: self.universe.belay.deliver_conduct(self.injection.pk))

    def _abort(self, event: Event) -> None:
        if self.universe.database.away:
            return
        with contextlib.suppress(DomainError):
            abort_injection(actor=self.cast.vera, injection=self.injection)
        self.universe.database.committed()

    def _emergency_stop(self, event: Event) -> None:
        """`lucky`: whoever set it lived to abort what is live; otherwise the watchdog must."""
        if self.universe.database.away or current_stop() is not None:
            return
        if event.lucky:
            set_emergency_stop(actor=self.cast.vera, why="the shop is down")
        else:
            EmergencyStop.objects.create(set_by=self.cast.vera, why="the shop is down")
        self.universe.database.committed()
        self.stopped_at = self.universe.kernel.now

    def _conduct_again(self, event: Event) -> None:
        for _ in range(5):
            self.universe.belay.deliver_conduct(self.injection.pk)

    def _second_fault(self, event: Event) -> None:
        if self.universe.database.away:
            return
        try:
            start_gameday(actor=self.cast.erik, gameday=self.gameday)
        except Conflict:
            return
        self.checker.say("one live fault", "a second fault was accepted while one is live")

    def _older_installation(self, event: Event) -> None:
        """A copy of Belay from an older backup, with all its keys, aims at the same cluster."""
        universe = self.universe
        process = Process(universe.kernel, "copy")
        order_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"copy {event}"))
        fault = NodeFault(kind="hold", component=self._component, hold_s=30)  # type: ignore[arg-type]
        node = self._node(event)
        self._under_way += 1

        def work() -> None:
            try:
                fleet = Guards(universe, process, epoch=universe.epoch - 1)
                fleet.arm(order_id, {node: fault})
                fleet.inject(order_id, [node])
            finally:
                self._under_way -= 1

        process.spawn(work)
