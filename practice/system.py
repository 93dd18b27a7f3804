"""Small things that the machine is asked for: commands, processes, locks and safe writes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class RangeError(Exception):
    """Something a person has to know: what was wrong, with which value, and what to do now."""


class CommandError(RangeError):
    """A command ended badly; the text carries the end of what it said."""

    def __init__(self, argv: Sequence[str], code: int, output: str) -> None:
        self.code = code
        self.output = output
        tail = "\n".join(output.strip().splitlines()[-8:])
        super().__init__(f"`{' '.join(argv)}` ended with {code}: {tail}")


_running: set[subprocess.Popen[str]] = set()
"""Commands of this process that have not ended, for `end_commands`."""


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    timeout: float = 120.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
) -> str:
    """Run a command and return what it wrote to standard output.

    `timeout` is in seconds. Standard error joins the output only in the error and in `log`.
    Raises CommandError when the command cannot be started, fails or is too slow.
    """
    try:
        # A session of its own: Ctrl-C in a terminal is for us, and we end our commands in order.
        command = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=dict(os.environ if env is None else env),
            cwd=cwd,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandError(argv, 127, f"{error.filename}: {error.strerror}") from None
    _running.add(command)
    try:
        out, err = command.communicate(stdin, timeout=timeout)
    except subprocess.TimeoutExpired:
        _kill_session(command)
        out, err = command.communicate()
        raise CommandError(argv, 124, f"no end after {timeout:.0f} s\n{out}{err}") from None
    finally:
        _running.discard(command)
    if log is not None:
        with log.open("a", encoding="utf-8") as sink:
            sink.write(f"$ {' '.join(argv)}\n{out}{err}")
    if command.returncode != 0:
        raise CommandError(argv, command.returncode, err or out)
    return out


def end_commands(*, spare: Sequence[str] = ("apt-get",)) -> None:
    """Kill the commands that other threads of this process still run.

    Those named in `spare` go on to their end: a package manager that is killed in its work
    leaves a machine to be mended by hand.
    """
    for command in list(_running):
        words = command.args if isinstance(command.args, list) else []
        if not (words and words[0] in spare):
            _kill_session(command)


def _kill_session(command: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(command.pid, signal.SIGKILL)


def start_ticks(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot, or None when there is none.

    With the pid it names one process of one boot for certain: pids are used again. A zombie has
    ended and counts as none.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def is_alive(pid: int, started: int) -> bool:
    """Whether exactly that process, and no later one of the same pid, is alive."""
    return start_ticks(pid) == started


def children_of(pid: int) -> list[int]:
    """Direct children of a process, as pids seen from the host."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            text = (task / "children").read_text(encoding="ascii")
            found.extend(int(word) for word in text.split())
    return found


def write_atomic(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file in one rename, so that a reader sees the old bytes or the new ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as sink:
        os.fchmod(descriptor, mode)
        sink.write(text)
        sink.flush()
        os.fsync(descriptor)
    draft.replace(path)


@contextlib.contextmanager
def file_lock(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold an exclusive lock on a file; the kernel drops it when the holder dies.

    With `wait=False` yields False at once when somebody else holds it.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            if not _is_still_at(path, handle.fileno()):
                continue  # the holder before us removed the file: ours locks nothing any more
            yield True
            return


def _is_still_at(path: Path, descriptor: int) -> bool:
    """Whether the path names the very file that the descriptor has open."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def wait_until(
    condition: Callable[[], bool], *, timeout: float, what: str, every: float = 0.2
) -> None:
    """Look every `every` seconds until the condition holds; raise RangeError after `timeout` s."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise RangeError(f"{what}: not so after {timeout:.0f} s")
        time.sleep(every)


def bound_log(path: Path, limit: int = 8 * 1024 * 1024) -> None:
    """Keep a log below about two limits (bytes): the former half moves to `<name>.1`.

    The file is copied and cut in place, because its writer holds it open for appending.
    """
    try:
        if path.stat().st_size <= limit:
            return
    except FileNotFoundError:
        return
    path.with_name(path.name + ".1").write_bytes(path.read_bytes())
    os.truncate(path, 0)
