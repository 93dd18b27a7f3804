"""A conductor of its own that breaks itself at one named step, beside a real stack.

`python -m tests.faults.trapped RUN STEP NTH WAY` conducts the run as a faults worker does. A step
is a commit (`db:…`), a call to one guard (`guard:…`) or to the Kubernetes API (`kube:…`), as the
conductor itself makes them; what its watching threads ask does not count. At the NTH time of STEP
it is killed before or after it, or it was done and its answer is lost. Then, or at the end of the
run, it leaves; the last line that it prints is the step that it broke at.

BELAY_STATE_DIR names the stack. The names are those of the simulator (tests/simulator/crash.py).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import django

T = TypeVar("T")
WAYS = ("kill-before", "kill-after", "lose-answer")
_ROWS = ("move", "write_entry", "write_rehearsals", "close", "give_up")
_GUARD = ("arm", "inject", "undo", "renew")
_KINDS = ("token", "serviceaccounts", "roles", "rolebindings", "selfsubjectaccessreviews")


@dataclass
class Trap:
    """Counts the steps of the conductor, from whatever thread of its own they are made."""

    step: str
    nth: int
    way: str
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def perform(self, name: str, act: Callable[[], T], lost: Exception) -> T:
        with self._lock:
            self.nth -= name == self.step
            sprung = name == self.step and self.nth == 0
        if sprung:
            print(f"broke at {name}: {self.way}", flush=True)
            if self.way == "kill-before":
                os.kill(os.getpid(), signal.SIGKILL)
        done = act()
        if sprung:
            if self.way == "kill-after":
                os.kill(os.getpid(), signal.SIGKILL)
            raise lost
        return done


def lay(trap: Trap, run: str) -> None:
    """Put the trap into everything through which a conductor changes something elsewhere."""
    from core.errors import ClusterUnreachable  # noqa: PLC0415
    from core.lost_rows import RowsLostError  # noqa: PLC0415
    from gamedays.drivers.guard_client import GuardClient, GuardUnreachable  # noqa: PLC0415
    from gamedays.drivers.run_api import RunApi  # noqa: PLC0415
    from gamedays.journal import Journal  # noqa: PLC0415

    def into(owner: type[Any], method: str, name: Callable[..., str], lost: Exception) -> None:
        real = getattr(owner, method)

        def stepped(self: Any, *args: Any, **more: Any) -> Any:
            return trap.perform(name(*args, **more), lambda: real(self, *args, **more), lost)

        setattr(owner, method, stepped)

    for verb in _ROWS:
        into(Journal, verb, _named_row(verb), RowsLostError("the answer was lost"))
    for verb in _GUARD:
        into(GuardClient, verb, _named_call(verb, run), GuardUnreachable("the answer was lost"))
    into(RunApi, "request", _named_request, ClusterUnreachable("the answer was lost"))


def _named_call(verb: str, run: str) -> Callable[..., str]:
    """The drills that rehearse the undo have orders of their own."""
    return lambda order_id, *_args, **_more: f"guard:{verb}{'' if order_id == run else ' drill'}"


def _named_row(verb: str) -> Callable[..., str]:
    def name(*args: Any, **_more: Any) -> str:
        return f"db:move:{args[1]}" if verb == "move" else f"db:{verb}"

    return name


def _named_request(method: str, path: str, *_args: Any, **_more: Any) -> str:
    parts = path.partition("?")[0].rstrip("/").split("/")
    plural = next((part for part in reversed(parts) if part in _KINDS), parts[-1])
    return f"kube:{method.lower()} {plural}"


def main(argv: list[str]) -> int:
    run, step, nth, way = argv
    assert way in WAYS, way
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    django.setup()
    from gamedays.execution import shell  # noqa: PLC0415

    lay(Trap(step, int(nth), way), run)
    key = uuid.UUID(run)
    fence = shell.claim_first(key)
    assert fence is not None, "somebody else conducts it"
    shell.conduct(key, fence, shell.Stopping())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
