"""`manage.py demo_range`: supervised; raises the practice range and registers it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DatabaseError, InterfaceError, close_old_connections

from config.stack.errors import StackError
from config.stack.layout import CHECKOUT
from config.stack.register import (
    record_failure,
    record_progress,
    record_unavailable,
    register_range,
)
from core.errors import DomainError
from practice.facts import Progress, read_progress
from practice.system import RangeError

LOOK_S = 1.0
DOWN_S = 170
"""Less than the supervisor gives us, so that we end the range and not its SIGKILL."""
REGISTER_AGAIN_S = 10.0
DATABASE_AWAY = (DatabaseError, InterfaceError)

log = structlog.get_logger(__name__)


class Command(BaseCommand):
    """Raise the range in a child process, show its progress on the pages, register it, wait."""

    help = "Raise the practice range and register it as a QA cluster (the demo supervises this)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--unavailable",
            metavar="REASON",
            action="append",
            help="Only record that this machine cannot hold a range, and why.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["unavailable"]:
            record_unavailable(options["unavailable"])
            return
        self._name = settings.BELAY_RANGE
        # No event: the handler runs inside this very loop's waiting, and an event that is set from
        # there could wait for a lock that the wait holds. A simple queue is made for it.
        self._told: SimpleQueue[int] = SimpleQueue()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda given, _frame: self._told.put(given))
        child = None if os.environ.get("BELAY_RANGE_ATTACH") == "1" else self._raise()
        try:
            self._follow(child)
        finally:
            if child is not None:
                self._drop(child)

    def _raise(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "practice", "up", "--foreground", "--name", self._name],
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
        )

    def _follow(self, child: subprocess.Popen[bytes] | None) -> None:
        """Show progress until the range is ready, register it, then wait for the stop signal."""
        registered = False
        shown: Progress | None = None
        while self._told.empty():
            if child is not None and child.poll() is not None:
                sys.exit(f"the practice range ended by itself (status {child.returncode})")
            progress = read_progress(self._name)
            if progress is not None and not registered:
                if progress.phase == "ready":
                    registered = self._register()
                elif progress != shown and _recorded(partial(record_progress, progress)):
                    shown = progress
            self._rest(LOOK_S)

    def _register(self) -> bool:
        """True when it is done; otherwise the reason is on the pages and it is tried again."""
        try:
            register_range(self._name)
        except (DomainError, RangeError, StackError, *DATABASE_AWAY, OSError) as error:
            log.warning("range_not_registered", reason=str(error))
            message = f"The range is up but could not be registered: {error}"
            _recorded(partial(record_failure, message))
            self._rest(REGISTER_AGAIN_S)
            return False
        finally:
            close_old_connections()
        return True

    def _rest(self, seconds: float) -> None:
        """Until somebody tells us to stop, and at most so long."""
        with suppress(Empty):
            self._told.put(self._told.get(timeout=seconds))

    def _drop(self, child: subprocess.Popen[bytes]) -> None:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(timeout=DOWN_S)
            except subprocess.TimeoutExpired:
                log.exception("range_slow_to_go", pid=child.pid, seconds=DOWN_S)


def _recorded(write: Callable[[], None]) -> bool:
    """Write to the database; False when it is away (the next look writes again)."""
    try:
        write()
    except DATABASE_AWAY as error:
        log.warning("progress_not_recorded", reason=str(error))
        return False
    finally:
        close_old_connections()
    return True
