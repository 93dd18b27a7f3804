"""Booking, starting and aborting by the product's own verbs, in this process."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import django

from tests.chaos.plan import Fault
from tests.stack.running import TRYING_OUT

T = TypeVar("T")
AGENDA = 8
"""Faults per gameday: the undo is rehearsed once in each."""
DURATION_MIN = 60


def become_part_of(state_dir: Path) -> None:
    """Settings and database of the running stack, as for a command in a shell beside it."""
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    os.environ |= TRYING_OUT | {
        "BELAY_STATE_DIR": str(state_dir),
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    django.setup()


class People:
    """Lea books, Erik starts, Vera aborts. Only after `become_part_of`."""

    def __init__(self) -> None:
        self._gameday: int | None = None
        self._left = 0

    def start(self, faults: Sequence[Fault]) -> str:
        """Start the first of `faults`; books them, where no gameday has it next. The run's id.

        Raises DomainError when the product says no.
        """
        return _fresh(lambda: self._start(faults))

    def _start(self, faults: Sequence[Fault]) -> str:
        from core.errors import Conflict  # noqa: PLC0415  (settings are set only now)
        from core.models import User  # noqa: PLC0415
        from gamedays.models import Gameday  # noqa: PLC0415
        from gamedays.operations.runs import start_gameday  # noqa: PLC0415

        erik = User.objects.get(username="erik")
        for _booking in range(2):
            if self._gameday is None:
                self._gameday = _book(faults[:AGENDA])
            gameday = Gameday.objects.get(pk=self._gameday)
            try:
                run = start_gameday(actor=erik, gameday=gameday)
            except Conflict as refusal:
                if refusal.code not in ("gameday_over", "agenda_done"):
                    raise
                self._gameday = None
                continue
            if run.scenario_key != faults[0].scenario:
                raise AssertionError(f"{run.scenario_key} began, not {faults[0].scenario}")
            return str(run.pk)
        raise AssertionError("a gameday that was just booked is over")

    def abort(self, run_id: str) -> None:
        """A person's click. Nothing happens to a run that is over."""

        def click() -> None:
            from core.models import User  # noqa: PLC0415
            from gamedays.models import Injection  # noqa: PLC0415
            from gamedays.operations.runs import abort_injection  # noqa: PLC0415

            vera = User.objects.get(username="vera")
            abort_injection(actor=vera, injection=Injection.objects.get(pk=run_id))

        _fresh(click)


def _book(faults: Sequence[Fault]) -> int:
    from django.utils import timezone  # noqa: PLC0415

    from config.stack.register import CLUSTER_NAME  # noqa: PLC0415
    from core.models import Cluster, User  # noqa: PLC0415
    from gamedays.operations.bookings import AgendaDraft, book_gameday  # noqa: PLC0415

    people = {user.username: user for user in User.objects.filter(username__in=("lea", "erik"))}
    gameday = book_gameday(
        actor=people["lea"],
        cluster=Cluster.objects.active().get(name=CLUSTER_NAME),
        title="Parts of ours die",
        starts_at=timezone.now() + dt.timedelta(minutes=1),
        duration_min=DURATION_MIN,
        time_zone="Europe/Berlin",
        facilitator=people["erik"],
        agenda=[AgendaDraft(fault.scenario, fault.parameters) for fault in faults],
    )
    return int(gameday.pk)


def _fresh(verb: Callable[[], T]) -> T:
    """On a new connection: the last one may have died with its server."""
    from django.db import connections  # noqa: PLC0415

    connections.close_all()
    try:
        return verb()
    finally:
        connections.close_all()
