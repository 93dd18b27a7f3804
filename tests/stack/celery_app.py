"""A Celery application with the product's configuration and two tasks of the tests' own."""

from __future__ import annotations

import time
from pathlib import Path

from config.celery import app


@app.task(name="tests.occupy")
def occupy(release: str) -> None:
    """Hold a thread until the file `release` appears (at most a minute)."""
    give_up_at = time.monotonic() + 60
    while not Path(release).exists() and time.monotonic() < give_up_at:
        time.sleep(0.05)


@app.task(name="tests.touch")
def touch(path: str) -> None:
    """Leave a file."""
    Path(path).touch()
