"""A Celery application with the product's configuration and two tasks of the tests' own."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from config.celery import app


@app.task(name="tests.occupy")
def occupy(release: str) -> None:
    """Hold a thread until the file `release` appears (at most five minutes).

    Leaves `<release>.taken-<pid>-<thread>`: who counts these knows how many threads are held.
    """
    Path(f"{release}.taken-{os.getpid()}-{threading.get_native_id()}").touch()
    give_up_at = time.monotonic() + 300
    while not Path(release).exists() and time.monotonic() < give_up_at:
        time.sleep(0.05)


@app.task(name="tests.touch")
def touch(path: str) -> None:
    """Leave a file."""
    Path(path).touch()
