"""What a range tells about itself: facts for whoever uses it, and progress while it is raised."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from practice.plan import range_dir
from practice.system import RangeError, write_atomic

__all__ = ["NodeFacts", "Progress", "RangeFacts", "Reporter", "range_dir", "read_progress"]
LOG_TAIL = 40


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    name: str
    address: str
    api_server: str
    """Address of this node's own API server, past the proxy; empty on a worker."""
    control_plane: bool = True
    """Whether the node has an API server and an etcd member of its own."""


@dataclass(frozen=True, kw_only=True)
class RangeFacts:
    """A raised range. Paths are absolute; URLs are reachable from this machine only."""

    name: str
    index: int
    phase: str
    """raising, ready, failed or dropping."""
    kubernetes_version: str
    api_endpoint: str
    ca_file: str
    kubeconfig: str
    """The account that the owner made for Belay, with least rights."""
    admin_kubeconfig: str
    """The owner's own."""
    nodes: list[NodeFacts]
    shop_url: str
    shop_host: str
    """The Host header with which `shop_url` is the shop."""
    legacy_url: str
    guard_image: str
    """Name of the guard's image as it is in every node's store; empty when there is none."""
    proxy_admin: str
    canary_host: str = ""
    """The Host header of the owner's canary route at `shop_url`; empty: a range without one."""
    envoy_stats: list[str] = field(default_factory=list)
    """Where each node's Envoy tells its own figures, in the order of `nodes`."""
    weaknesses: dict[str, bool] = field(default_factory=dict)
    """Whether each known weakness is fixed."""

    @classmethod
    def load(cls, name: str) -> RangeFacts:
        """Read the facts of a range; RangeError when it was never raised."""
        path = range_dir(name) / "range.json"
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RangeError(
                f"range {name!r} is not raised: `range up --name {name}` does it"
            ) from None
        return cls(**(data | {"nodes": [NodeFacts(**node) for node in data["nodes"]]}))

    def save(self) -> None:
        """Write the facts in one rename."""
        write_atomic(
            range_dir(self.name) / "range.json", json.dumps(dataclasses.asdict(self), indent=1)
        )


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the raising is. `percent` follows expected durations, not the count of steps."""

    phase: str
    step: str
    steps_done: int
    steps_total: int
    message: str
    percent: int
    started_at: float
    """Seconds since the epoch."""
    eta_s: float | None = None
    """None while nobody can tell: also while a step takes longer than it was expected to."""
    overdue: bool = False
    error: str | None = None
    log_tail: list[str] = field(default_factory=list)


def read_progress(name: str) -> Progress | None:
    """The progress of a range, or None when nobody ever began to raise it."""
    try:
        data = json.loads((range_dir(name) / "progress.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    known = {item.name for item in dataclasses.fields(Progress)}
    return Progress(**{key: value for key, value in data.items() if key in known})


class Reporter:
    """Writes progress to its file, and one readable line per piece of news to `echo`."""

    _OVERRUN, _OVERRUN_S = 1.1, 15.0
    """A step that takes so much longer than expected: nobody knows any more how long it will."""

    def __init__(
        self,
        path: Path,
        steps: dict[str, float],
        *,
        echo: Callable[[str], None] = lambda _: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`steps` maps each step's title to its expected duration in seconds."""
        self._path, self._steps, self._echo, self._now = path, dict(steps), echo, now
        self._started = now()
        self._done: list[str] = []
        self._step, self._step_began, self._message = "", now(), ""
        self._phase, self._error = "raising", ""
        self._tail: list[str] = []
        self._lock = threading.RLock()

    def foresee(self, seconds: float) -> None:
        """The current step takes so much longer from now on: a cold build takes minutes."""
        with self._lock:
            self._steps[self._step] = self._now() - self._step_began + seconds

    def begin(self, step: str) -> None:
        """A step begins; the one before it is done."""
        with self._lock:
            if self._step:
                self._done.append(self._step)
            self._step, self._step_began = step, self._now()
            self.say(step)

    def say(self, message: str) -> None:
        """One line of news within the current step. Any thread may have some."""
        with self._lock:
            self._message = message
            line = f"{self._now() - self._started:5.0f} s  {self._percent():3d}%  {message}"
            self._tail = [*self._tail, line][-LOG_TAIL:]
            self._write()
            self._echo(line)

    def refresh(self) -> None:
        """Write percent and remaining time again: minutes can pass without news."""
        with self._lock:
            if self._phase == "raising" and self._step:
                self._write()

    def finish(self, message: str) -> None:
        """Everything is done."""
        with self._lock:
            self._done.append(self._step)
            self._phase, self._step = "ready", ""
            self.say(message)

    def fail(self, error: str) -> None:
        """The raising stopped; `error` says what was wrong and what to do."""
        with self._lock:
            self._phase, self._error = "failed", error
            self.say(error)

    def _expected(self) -> float:
        return sum(self._steps.values()) or 1.0

    def _percent(self) -> int:
        if self._phase == "ready":
            return 100
        spent = sum(self._steps.get(step, 0) for step in self._done)
        within = min(self._now() - self._step_began, self._steps.get(self._step, 0))
        return min(99, int(100 * (spent + within) / self._expected()))

    def _write(self) -> None:
        left = self._expected() - sum(self._steps.get(step, 0) for step in self._done)
        within = self._now() - self._step_began
        left -= min(within, self._steps.get(self._step, 0))
        raising = self._phase == "raising"
        limit = self._OVERRUN * self._steps.get(self._step, 0.0) + self._OVERRUN_S
        overdue = raising and within > limit
        progress = Progress(
            phase=self._phase,
            step=self._step,
            steps_done=len(self._done),
            steps_total=len(self._steps),
            message=self._message,
            percent=self._percent(),
            started_at=self._started,
            eta_s=round(max(0.0, left), 1) if raising and not overdue else None,
            overdue=overdue,
            error=self._error or None,
            log_tail=self._tail,
        )
        data: dict[str, Any] = dataclasses.asdict(progress)
        write_atomic(self._path, json.dumps(data, indent=1))
