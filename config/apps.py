"""The Django application that carries the stack's management commands."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings


class StackConfig(AppConfig):
    """Commands of the embedded stack; sets the database deadline where one is asked for."""

    name = "config"
    label = "stack"
    verbose_name = "Stack"

    def ready(self) -> None:
        if settings.BELAY_DB_DEADLINE_S:
            from core.db_deadline import install_deadline

            install_deadline(settings.BELAY_DB_DEADLINE_S)
