"""`make clean-demo`: afterwards nothing on this machine tells that there was a demo."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from config.env import STACK_ENV, read_stack_env
from config.stack.errors import StackError
from config.stack.layout import CHECKOUT, MARKER, Stack, raised_its_range
from config.stack.processes import end_processes, processes_of, read_marks
from config.stack.settings import range_name
from practice.plan import ranges_dir

STOP_S = 300
"""A demo that is told to stop takes its range down first."""


def clean(stack: Stack, *, say: Callable[[str], None], keep_cache: bool) -> None:
    """Stop the demo, take its range down, remove its files. May be repeated.

    Raises StackError when something remains; it says what.
    """
    if stack.state_dir.exists() and not _is_ours(stack.state_dir):
        raise StackError(
            f"{stack.state_dir} was not made by a demo (it has no {STACK_ENV}): it is left alone; "
            "check BELAY_STATE_DIR."
        )
    _stop(stack, say)
    if os.geteuid() == 0:
        name = _range_of(stack)
        if name is None:
            say(_no_range_is_ours(stack))
        else:
            _drop_range(name, say, keep_cache=keep_cache)
    _remove_files(stack, say)


def _stop(stack: Stack, say: Callable[[str], None]) -> None:
    running = [process for process in read_marks(stack.pid_file).values() if process.alive]
    if running:
        say("Stopping the demo.")
    demo = [process for name, process in read_marks(stack.pid_file).items() if name == "demo"]
    end_processes(demo, grace_s=STOP_S)
    remaining = end_processes(
        [*running, *processes_of(stack.state_dir, marker=MARKER)], grace_s=STOP_S
    )
    if remaining:
        pids = ", ".join(str(process.pid) for process in remaining)
        raise StackError(f"These processes of the demo do not end: {pids}.")


def _range_of(stack: Stack) -> str | None:
    """The range that this demo raised, as it wrote down, or that BELAY_RANGE names.

    Never the default name: once the state directory is gone, a range of that name is perhaps
    somebody else's.
    """
    kept = read_stack_env(stack.state_dir)
    if kept.get("BELAY_RANGE") and raised_its_range(kept):
        return kept["BELAY_RANGE"]
    return range_name() if os.environ.get("BELAY_RANGE", "").strip() else None


def _no_range_is_ours(stack: Stack) -> str:
    raised = other_ranges("")
    if not raised:
        return "No practice range is on this machine."
    return (
        f"Practice ranges on this machine, left alone because no demo in {stack.state_dir} raised "
        f"them: {', '.join(raised)}. To take one down: BELAY_RANGE={raised[0]} make clean-demo"
    )


def _drop_range(name: str, say: Callable[[str], None], *, keep_cache: bool) -> None:
    say(f"Taking the practice range {name!r} down.")
    command = [sys.executable, "-m", "practice", "down", "--name", name]
    others = other_ranges(name)
    if others:
        say(f"Keeping the built components: the range {', '.join(others)} uses them.")
    elif not keep_cache:
        command.append("--purge-cache")
    result = subprocess.run(
        command,
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        said = (result.stdout + result.stderr).strip()
        raise StackError(f"The practice range is not wholly gone: {said or 'it gave no reason'}.")


def other_ranges(name: str) -> list[str]:
    """Names of ranges on this machine that are not ours, raised or half raised.

    All ranges run from one cache: taking it away would break those that somebody else uses.
    """
    directory = ranges_dir()
    if not directory.is_dir():
        return []
    return sorted(
        entry.name for entry in directory.iterdir() if entry.is_dir() and entry.name != name
    )


def _remove_files(stack: Stack, say: Callable[[str], None]) -> None:
    directory = stack.state_dir
    if not directory.exists():
        say(f"Nothing is left of the demo in {directory}.")
        return
    shutil.rmtree(directory)
    # The folders above it were made for it, unless something else lies in them.
    for parent in (directory.parent, directory.parent.parent):
        if parent.name == "belay":
            with contextlib.suppress(OSError):
                parent.rmdir()
    say(f"Removed {directory}.")


def _is_ours(directory: Path) -> bool:
    return (directory / STACK_ENV).is_file() or not any(directory.iterdir())
