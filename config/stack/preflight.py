"""What must be true before the stack starts; every refusal is one sentence."""

from __future__ import annotations

import errno
import shutil
import socket
from pathlib import Path

from config.stack.errors import StackError
from config.stack.layout import Stack
from config.stack.processes import read_marks

DISK_FREE_MIN_MIB = 600
"""The embedded services' programs, an empty database and its write-ahead log."""


def require_not_running(stack: Stack) -> None:
    """Raise StackError when a stack already runs on this state directory."""
    for name, process in read_marks(stack.pid_file).items():
        if process.alive:
            raise StackError(
                f"A {name} (pid {process.pid}) already runs on {stack.state_dir}: stop it with "
                "Ctrl-C where it was started or `make clean-demo`, or set BELAY_STATE_DIR and "
                "BELAY_PORT for a second one."
            )


def require_port(port: int) -> None:
    """Raise StackError when the web port cannot be bound."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = "is taken by another program"
            if error.errno == errno.EACCES:
                reason = "is for root only"
            raise StackError(
                f"Port {port} on 127.0.0.1 {reason}: give a free one, as in "
                "`make demo BELAY_PORT=8301`."
            ) from error


def require_disk(directory: Path) -> None:
    """Raise StackError when the disk is too full to start."""
    place = next(path for path in (directory, *directory.parents) if path.exists())
    free_mib = shutil.disk_usage(place).free // 2**20
    if free_mib < DISK_FREE_MIN_MIB:
        raise StackError(
            f"The disk of {place} has {free_mib} MiB left and Belay needs {DISK_FREE_MIN_MIB}: "
            "free some space, or set BELAY_STATE_DIR to another disk."
        )
