"""One at a time: raising a range and taking it down exclude each other.

The lock lies beside the ranges and not in one, because taking down deletes the range's directory.
The kernel drops it when its holder dies.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from practice.plan import check_name, ranges_dir
from practice.system import RangeError, file_lock

SUFFIX = ".turn"


def lock_of(name: str) -> Path:
    return ranges_dir() / f".{check_name(name)}{SUFFIX}"


@contextmanager
def to_raise(name: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the range while its supervisor is being started.

    Another `up` is waited for: it holds this for a moment only. Raises RangeError while somebody
    takes the range down.
    """
    with file_lock(lock_of(name), wait=False) as mine:
        if mine:
            _sign(name, "up")
            yield
            return
        verb, pid = _holder(name)
        if verb == "down":
            raise RangeError(
                f"range {name} is being taken down by process {pid}: "
                "raise it again once that has ended"
            )
    say(f"process {pid} begins to raise range {name}: waiting for it")
    with file_lock(lock_of(name)):
        _sign(name, "up")
        yield


@contextmanager
def to_take_down(name: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the range until it is gone. Whoever has it now is waited for, another `down` too."""
    with file_lock(lock_of(name), wait=False) as mine:
        if mine:
            _sign(name, "down")
            yield
            return
        verb, pid = _holder(name)
    does = "takes range {} down already" if verb == "down" else "begins to raise range {}"
    say(f"process {pid} {does.format(name)}: waiting for it")
    with file_lock(lock_of(name)):
        _sign(name, "down")
        yield


def forget(name: str) -> None:
    """Remove the lock's file. Its holder calls this, last: whoever waits makes a new one."""
    lock_of(name).unlink(missing_ok=True)


def _sign(name: str, verb: str) -> None:
    # In place and not by a rename: the lock is on this very file.
    lock_of(name).write_text(json.dumps({"verb": verb, "pid": os.getpid()}), encoding="utf-8")


def _holder(name: str) -> tuple[str, int]:
    """Verb and pid of who holds the range; ("", 0) when it has not signed yet, or has just gone."""
    try:
        record = json.loads(lock_of(name).read_text(encoding="utf-8"))
        return str(record["verb"]), int(record["pid"])
    except (FileNotFoundError, ValueError, KeyError):
        return "", 0
