"""`manage.py watchdog`: plain, supervised, without Celery and without Redis."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from core.watchdog import TICK_S, LeaseBook, LeaseRow, Watchdog
from gamedays.choices import BEFORE_UNDO, FINAL, InjectionState
from gamedays.execution import shell
from gamedays.models import Lease
from gamedays.operations.emergency import enforce_emergency_stop
from migrator.execution import shell as steps
from migrator.execution.leases import StepLeases

log = structlog.get_logger(__name__)


class LeaseTable:
    """`LeaseBook` on PostgreSQL."""

    def rows(self) -> Iterable[LeaseRow]:
        # Whoever set an emergency stop may have died before it had aborted everything.
        enforce_emergency_stop()
        leases = Lease.objects.filter(fence__gt=0).exclude(injection__state__in=sorted(FINAL))
        for lease in leases.select_related("injection"):
            injection = lease.injection
            yield LeaseRow(
                key=injection.pk,
                fence=lease.fence,
                renewals=lease.renewals,
                given_up=lease.given_up,
                abort_waiting=injection.abort_requested_at is not None
                and injection.state in BEFORE_UNDO,
                abort_underway=injection.abort_requested_at is not None
                and injection.state == InjectionState.UNDOING,
            )

    def take_over(self, row: LeaseRow) -> int | None:
        return shell.take_over(row.key, fence=row.fence, renewals=row.renewals)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of thing that is watched: its leases, and who takes one over."""

    book: LeaseBook
    conduct: Callable[[uuid.UUID, int, threading.Event], None]


KINDS: dict[str, Callable[[], Kind]] = {
    "faults": lambda: Kind(book=LeaseTable(), conduct=_undo_fault),
    "steps": lambda: Kind(book=StepLeases(), conduct=_take_back_step),
}


class Command(BaseCommand):
    help = (
        "Take over faults and migration steps whose conductor is gone, and undo them. Needs no "
        "Celery or Redis."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--heartbeat",
            type=Path,
            help="touched after every look that the database answered; for a health check",
        )
        parser.add_argument(
            "--only",
            choices=sorted(KINDS),
            help="where another process holds the key of production: one watchdog for each",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        heartbeat: Path | None = options["heartbeat"]
        stopping = threading.Event()
        # The handler only notes it: it runs inside this very loop's waiting, and an event that
        # is set from there could wait for a lock that the wait holds.
        told: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda given, _frame: told.append(given))
        only = options.get("only")
        kinds = [make() for name, make in KINDS.items() if only in (None, name)]
        watched = [(Watchdog(kind.book), kind) for kind in kinds]
        conducting: dict[uuid.UUID, threading.Thread] = {}
        log.info("watchdog_started", only=only)
        while not told:
            conducting = {key: t for key, t in conducting.items() if t.is_alive()}
            # Each by itself: what goes wrong with faults leaves no step unwatched.
            looked = [look(watchdog, kind, conducting, stopping) for watchdog, kind in watched]
            if all(looked) and heartbeat is not None:
                with contextlib.suppress(OSError):  # no room for it: its age tells
                    heartbeat.touch()
            time.sleep(TICK_S)
        stopping.set()
        for thread in conducting.values():
            thread.join()


def look(
    watchdog: Watchdog,
    kind: Kind,
    conducting: dict[uuid.UUID, threading.Thread],
    stopping: threading.Event,
) -> bool:
    """One look at one kind's leases, and a thread in `conducting` for each that is taken over;
    whether the look went well."""
    try:
        for key, fence in watchdog.advance(time.monotonic(), set(conducting)):
            log.warning("taking_over", what=str(key), fence=fence)
            thread = threading.Thread(
                target=_conduct, args=(kind, key, fence, stopping), daemon=False
            )
            thread.start()
            conducting[key] = thread
    except (DatabaseError, InterfaceError) as error:
        # The guards' own deadlines hold while we cannot read; look again at once.
        log.warning("watchdog_without_database", error=str(error))
        connection.close()
        return False
    except Exception:
        # No thread to be had, or a defect: whoever starts this process anew would have to watch
        # every lease for fifteen seconds again, and while a thread of ours conducts it would not
        # even end. Whoever is not conducted now is taken over at a later look.
        log.exception("watchdog_look_failed")
        return False
    return True


_WHY = "The watchdog was told to stop; another goes on."


def _undo_fault(key: uuid.UUID, fence: int, event: threading.Event) -> None:
    shell.conduct(key, fence, shell.Stopping(event, _WHY), undo_only=True)


def _take_back_step(key: uuid.UUID, fence: int, event: threading.Event) -> None:
    steps.conduct(key, fence, steps.Stopping(event, _WHY), undo_only=True)


def _conduct(kind: Kind, key: uuid.UUID, fence: int, stopping: threading.Event) -> None:
    try:
        kind.conduct(key, fence, stopping)
    except Exception:
        # The lease stops moving, so this or another watchdog takes it over again.
        log.exception("undo_interrupted", what=str(key))
    finally:
        close_old_connections()
        connection.close()
