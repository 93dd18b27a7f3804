#!/usr/bin/env python3
"""Belay's command line: `manage.py help` lists the commands."""

from __future__ import annotations

import os
import sys

COMMANDS_WITHOUT_A_DATABASE = {
    "clean_demo",
    "demo",
    "help",
    "makemigrations",
    "range",
    "version",
}
"""These must run where no database is configured yet (they may be what makes one)."""


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    if command in COMMANDS_WITHOUT_A_DATABASE or "--help" in sys.argv[2:]:
        os.environ["BELAY_BARE"] = "1"
    try:
        from django.core.management import execute_from_command_line
    except ImportError as error:
        sys.exit(f"{error}: run `make venv`, then use .venv/bin/python manage.py")
    try:
        execute_from_command_line(sys.argv)
    except _configuration_error() as error:
        sys.exit(f"belay: {error}")


def _configuration_error() -> type[Exception]:
    from config.env import ConfigurationError

    return ConfigurationError


if __name__ == "__main__":
    main()
