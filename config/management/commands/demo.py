"""`manage.py demo`: the whole product on this machine, until Ctrl-C."""

from __future__ import annotations

import errno
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from config.env import state_dir
from config.stack.demo import Demo, StopAskedError, ignore_stop_signals, stop_signals
from config.stack.errors import StackError
from config.stack.layout import Stack
from config.stack.ranges import RangeProgress, obstacles
from config.stack.settings import port, range_name

NO_RANGE = """\
The practice range cannot be raised here:
{obstacles}
What you have instead: every page, with sample data, and no cluster to break. To use a QA cluster
of your own, made with kubeadm, read "A cluster of your own" in README.md."""

READY = """
  Belay is ready:  {url}

  Log in as one of these, all with the password  {password}

{logins}
  Logs: {logs}
  Ctrl-C stops everything that this started; `make clean-demo` removes every trace.
"""

RAISING = """\
  Next: log in as lea. The practice range is raised meanwhile, here and on *This week* you see how
  far it is; when it is up, book a gameday.

"""


class Command(BaseCommand):
    """Start PostgreSQL, Redis, web, workers, beat, watchdog and the practice range."""

    help = "Run the whole product on this machine in the foreground; Ctrl-C stops all of it."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--state-dir", type=Path, default=None, help="Where everything is kept."
        )
        parser.add_argument("--port", type=int, default=None, help="The web port on 127.0.0.1.")
        parser.add_argument("--range", default=None, help="The practice range's name.")
        parser.add_argument(
            "--attach-range",
            action="store_true",
            help="Use a range that is already up, and leave it up.",
        )
        parser.add_argument("--no-range", action="store_true", help="Raise no practice range.")

    def handle(self, *_args: Any, **options: Any) -> None:
        self._began = time.monotonic()
        try:
            stack = Stack(
                state_dir=options["state_dir"] or state_dir(),
                port=options["port"] or port(),
                range_name=options["range"] or range_name(),
            )
            self._run(stack, options)
        except StackError as error:
            sys.exit(f"belay: {error}")
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            sys.exit(
                f"belay: The disk of {error.filename or state_dir()} is full: free about 1 GiB, "
                "or set BELAY_STATE_DIR to another disk."
            )

    def _run(self, stack: Stack, options: dict[str, Any]) -> None:
        reasons = [] if options["attach_range"] or options["no_range"] else obstacles()
        with_range = not options["no_range"] and not reasons
        demo = Demo(
            stack,
            say=self._say,
            with_range=with_range,
            attach_range=options["attach_range"],
            obstacles=reasons,
        )
        with stop_signals():
            try:
                self._say(f"Starting PostgreSQL, Redis and Belay in {stack.state_dir}.")
                demo.start()
                self._announce(demo, reasons, with_range=with_range)
                self._watch(demo, with_range=with_range)
            except StopAskedError:
                self._say("Stopping everything; the range takes a moment.")
            finally:
                # From here on there is one way only, and it must reach its end.
                ignore_stop_signals()
                demo.stop()

    def _announce(self, demo: Demo, reasons: list[str], *, with_range: bool) -> None:
        self._say("Web, workers, beat and watchdog are up.")
        logins = "".join(f"    {line}\n" for line in demo.sample_data.splitlines())
        self.stdout.write(
            READY.format(
                url=demo.stack.base_url,
                password=demo.stack.sample_password(),
                logins=logins,
                logs=demo.stack.logs,
            )
        )
        if with_range:
            self.stdout.write(RAISING)
        if reasons:
            listed = "\n".join(f"  - {reason}" for reason in reasons)
            self.stdout.write(NO_RANGE.format(obstacles=listed))
        self.stdout.flush()

    def _watch(self, demo: Demo, *, with_range: bool) -> None:
        progress = RangeProgress(demo.stack.range_name, demo.stack.base_url) if with_range else None
        while True:
            demo.require_supervisor()
            for line in progress.news() if progress else []:
                self._say(line)
            time.sleep(1)

    def _say(self, line: str) -> None:
        self.stdout.write(f"[{time.monotonic() - self._began:6.1f} s] {line}")
        self.stdout.flush()
