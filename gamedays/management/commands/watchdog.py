"""`manage.py watchdog`: plain, supervised, without Celery and without Redis."""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import structlog
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from core.watchdog import TICK_S, LeaseRow, Watchdog
from gamedays.choices import BEFORE_UNDO, FINAL, InjectionState
from gamedays.execution import shell
from gamedays.models import Lease
from gamedays.operations.emergency import enforce_emergency_stop

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


class Command(BaseCommand):
    help = "Take over injections whose conductor is gone, and undo them. Needs no Celery or Redis."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--heartbeat",
            type=Path,
            help="touched after every look that the database answered; for a health check",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        heartbeat: Path | None = options["heartbeat"]
        stopping = shell.Stopping()
        # The handler only notes it: it runs inside this very loop's waiting, and an event that
        # is set from there could wait for a lock that the wait holds.
        told: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda given, _frame: told.append(given))
        watchdog = Watchdog(LeaseTable())
        conducting: dict[uuid.UUID, threading.Thread] = {}
        log.info("watchdog_started")
        while not told:
            conducting = {key: t for key, t in conducting.items() if t.is_alive()}
            try:
                for injection_id, fence in watchdog.advance(time.monotonic(), set(conducting)):
                    log.warning("taking_over", injection=str(injection_id), fence=fence)
                    thread = threading.Thread(
                        target=_conduct, args=(injection_id, fence, stopping), daemon=False
                    )
                    thread.start()
                    conducting[injection_id] = thread
                if heartbeat is not None:
                    heartbeat.touch()
            except (DatabaseError, InterfaceError) as error:
                # The guards' own deadlines hold while we cannot read; look again at once.
                log.warning("watchdog_without_database", error=str(error))
                connection.close()
            except Exception:
                # No thread to be had, no room for the heartbeat: whoever starts this process anew
                # would have to watch every lease for fifteen seconds again, and while a thread
                # of ours conducts it would not even end. Whoever is not conducted now is taken
                # over at a later look.
                log.exception("watchdog_look_failed")
            time.sleep(TICK_S)
        stopping.set("The watchdog was told to stop; another goes on.")
        for thread in conducting.values():
            thread.join()


def _conduct(injection_id: uuid.UUID, fence: int, stopping: shell.Stopping) -> None:
    try:
        shell.conduct(injection_id, fence, stopping, undo_only=True)
    except Exception:
        # The lease stops moving, so this or another watchdog takes it over again.
        log.exception("undo_interrupted", injection=str(injection_id))
    finally:
        close_old_connections()
        connection.close()
