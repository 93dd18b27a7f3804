"""Plays one schedule to its end, and says what was violated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import transaction

from gamedays.models import Injection
from gamedays.operations.runs import start_gameday
from tests.people import NODES, Cast, book
from tests.simulator import coverage
from tests.simulator.checker import Checker
from tests.simulator.schedule import Schedule
from tests.simulator.troubles import Troubles
from tests.simulator.universe import Universe

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


class Stage:
    """The rows that all schedules begin with. Made once, inside the test's transaction."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast


def play(
    stage: Stage, schedule: Schedule, *, before: Callable[[Universe], None] | None = None
) -> Played:
    """Run the schedule on fresh rows and a fresh universe; nothing of it stays."""
    with transaction.atomic():
        universe = Universe(stage.cast.cluster, NODES)
        with universe.living():
            if before is not None:
                before(universe)
            played = _play(stage, schedule, universe)
        transaction.set_rollback(True)
    return played


def _play(stage: Stage, schedule: Schedule, universe: Universe) -> Played:
    parameters: dict[str, object] = {"hold_s": schedule.hold_s, **dict(schedule.given)}
    gameday = book(stage.cast, scenario=schedule.scenario, **parameters)  # type: ignore[arg-type]
    injection = start_gameday(actor=stage.cast.erik, gameday=gameday)
    universe.injection_id = injection.pk
    checker = Checker(universe, injection.pk, schedule.hold_s)
    troubles = Troubles(
        universe=universe,
        cast=stage.cast,
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
        HORIZON_S, or_when=lambda: state() in FINAL and troubles.over and _guards_rest(universe)
    )
    universe.kernel.run(universe.kernel.now + AFTER_S)
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


def _guards_rest(universe: Universe) -> bool:
    for host in universe.hosts.values():
        order = host.orders.order
        if not host.process.runs or (order is not None and order.live):
            return False
    return all(machine.is_as_before() for machine in universe.machines.values())
