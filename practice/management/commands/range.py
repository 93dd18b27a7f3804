"""`manage.py range …`: the practice range's own command line, unchanged."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from practice import cli


class Command(BaseCommand):
    """Touches no database: the range can be what the first cluster is made of."""

    help = "Raise, drop, look at and mend the practice range: a real three-node cluster."
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        cli.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        sys.exit(cli.run(argparse.Namespace(**options)))
