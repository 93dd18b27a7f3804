"""`manage.py clean_demo`: stop a demo and remove every trace of it from this machine."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from config.env import state_dir
from config.stack.clean import clean
from config.stack.errors import StackError
from config.stack.layout import existing_stack


class Command(BaseCommand):
    """Stop everything, take the practice range down, remove the state directory and caches."""

    help = "Stop the demo and remove every process, mount, link, cgroup and file that it made."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--state-dir", type=Path, default=None, help="As given to `demo`.")
        parser.add_argument(
            "--keep-cache",
            action="store_true",
            help="Keep the built Kubernetes components, so that the next start is quick.",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            clean(
                existing_stack(options["state_dir"] or state_dir()),
                say=self._say,
                keep_cache=options["keep_cache"],
            )
        except StackError as error:
            sys.exit(f"belay: {error}")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
