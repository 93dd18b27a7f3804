"""`manage.py load_sample_data --password-file FILE`: people and a service to look around with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core.management.asking import read_input
from gamedays.operations.sample import load_sample_data


class Command(BaseCommand):
    help = "Load sample people and services; safe to run twice."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--password-file", type=Path, required=True, help="file with the password of them all"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        password = read_input(options["password_file"]).strip()
        for login in load_sample_data(password=password):
            self.stdout.write(f"{login.username:8} {login.what}")
