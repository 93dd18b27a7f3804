"""Plays one schedule to its end, and says what was violated."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from unittest import mock

from django.db import transaction

from gamedays.models import Gameday, Injection, Probe
from gamedays.operations.runs import start_gameday
from gamedays.probes.sources import spec_of
from tests.people import NODES, Cast, book, make_cluster
from tests.simulator import coverage
from tests.simulator.checker import Checker
from tests.simulator.schedule import Schedule
from tests.simulator.troubles import Troubles
from tests.simulator.universe import Universe

if TYPE_CHECKING:
    import uuid

    from gamedays.probes.base import ProbeSpec

HORIZON_S = 1200.0
AFTER_S = 6.0
"""How long the end is watched: what comes late (a doubled message) still counts."""
FINAL = ("clean", "refused", "resolved_by_hand")

Coverage = Counter[tuple[str, str]]


@dataclass
class Played:
    """What one schedule led to."""

    problems: list[str]
    trail: list[tuple[float, str]]
    verdict: str
    reason: str
    operations: list[str]
    covered: Coverage
    seconds: float
    universe: Universe = field(repr=False)

    def __str__(self) -> str:
        trail = " → ".join(f"{state} {at:.2f}" for at, state in self.trail)
        problems = "".join(f"\n  ! {problem}" for problem in self.problems)
        return f"{trail} {self.verdict} {self.reason}{problems}"


@dataclass(frozen=True)
class Planned:
    """One booked gameday whose fault was asked for and not begun."""

    cast: Cast
    """The people, with a cluster of its own: a slot holds one fault."""
    gameday: Gameday
    injection_id: uuid.UUID
    probes: tuple[ProbeSpec, ...]


class Stage:
    """The rows that schedules begin with, inside the test's transaction.

    Booking takes as long as a tenth of a run and is the same each time. It is done once per
    scenario and parameters, and every schedule begins from there and is taken back.
    """

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._planned: dict[tuple[object, ...], Planned] = {}

    def plan(self, schedule: Schedule) -> Planned:
        key = (schedule.scenario, schedule.given, schedule.hold_s)
        if key not in self._planned:
            self._planned[key] = self._plan(schedule)
        return self._planned[key]

    def _plan(self, schedule: Schedule) -> Planned:
        name = f"qa-{len(self._planned)}"
        cast = dataclasses.replace(self._cast, cluster=make_cluster(self._cast.team, name))
        parameters: dict[str, object] = {"hold_s": schedule.hold_s, **dict(schedule.given)}
        with mock.patch("gamedays.operations.runs.send_conduct"):
            gameday = book(cast, scenario=schedule.scenario, **parameters)  # type: ignore[arg-type]
            injection = start_gameday(actor=cast.erik, gameday=gameday)
        probes = Probe.objects.filter(cluster=cast.cluster, enabled=True)
        specs = tuple(spec_of(probe) for probe in probes)
        return Planned(cast, gameday, injection.pk, specs)


def play(
    stage: Stage, schedule: Schedule, *, before: Callable[[Universe], None] | None = None
) -> Played:
    """Run the schedule on fresh rows and a fresh universe; nothing of it stays."""
    planned = stage.plan(schedule)
    with transaction.atomic():
        universe = Universe(planned.cast.cluster, NODES, planned.probes, planned.injection_id)
        with universe.living():
            if before is not None:
                before(universe)
            played = _play(planned, schedule, universe)
        transaction.set_rollback(True)
    return played


def _play(planned: Planned, schedule: Schedule, universe: Universe) -> Played:
    gameday = Gameday.objects.get(pk=planned.gameday.pk)
    injection = Injection.objects.get(pk=planned.injection_id)
    checker = Checker(universe, injection.pk, schedule.hold_s)
    troubles = Troubles(
        universe=universe,
        cast=planned.cast,
        gameday=gameday,
        injection=injection,
        checker=checker,
        schedule=schedule,
    )
    universe.belay.start_watchdog()
    universe.belay.start_beat()
    troubles.begin()
    universe.belay.deliver_conduct(injection.pk)

    def state() -> str:
        return universe.database.state(injection.pk)

    universe.kernel.run(
        HORIZON_S,
        or_when=lambda: state() in FINAL and troubles.over and _guards_rest(universe, checker),
    )
    universe.kernel.run(universe.kernel.now + AFTER_S)
    # A conductor that woke up too late may have begun a drill: the guards take it back themselves.
    universe.kernel.run(HORIZON_S, or_when=lambda: _guards_rest(universe, checker))
    problems = checker.check_the_end()
    coverage.note(troubles.covered, f"{state()} {_verdict(universe)}".strip())
    found = Injection.objects.filter(pk=injection.pk).first()
    return Played(
        problems=problems,
        trail=checker.trail,
        verdict=found.verdict if found else "",
        reason=found.reason if found else "",
        operations=universe.operations.names,
        covered=troubles.covered,
        seconds=universe.kernel.now,
        universe=universe,
    )


def _verdict(universe: Universe) -> str:
    found = universe.database.select(
        "SELECT verdict FROM gamedays_injection WHERE id = %s", universe.injection_id
    )
    return str(found[0][0]) if found else "gone"


def _guards_rest(universe: Universe, checker: Checker) -> bool:
    for name, host in universe.hosts.items():
        order = host.orders.order
        if not host.process.runs or (order is not None and order.live):
            return False
        # A guard that has just begun has not read its journal yet.
        if checker.kept_phase(name):
            return False
    return not universe.objects.left() and all(
        machine.is_as_before() for machine in universe.machines.values()
    )
