"""Settings, URLs, Celery and the embedded stack: imports everything, imported by nothing."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
