"""The supervisor's own behaviour, with a raising that is told what to do."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from practice import supervisor
from practice.keeper import Service, read_record
from practice.plan import Plan
from practice.supervisor import Desk
from practice.system import RangeError, is_alive, wait_until, write_atomic


@pytest.fixture
def plan(own_dirs: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    plan = Plan("one", 0)
    write_atomic(plan.dir / "plan.json", plan.to_json())
    return plan


def raising_that(monkeypatch: pytest.MonkeyPatch, work: Callable[[Plan, Desk], bool]) -> None:
    """Put a raising in place that does just this."""

    def make(plan: Plan, desk: Desk, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(
            run=lambda: work(plan, desk), report=SimpleNamespace(refresh=lambda: None)
        )

    monkeypatch.setattr(supervisor, "Raising", make)


def test_a_raising_that_fails_ends_the_supervisor(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising_that(monkeypatch, lambda *_: False)
    assert supervisor.supervise(plan, echo=lambda _: None) == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_so_does_one_that_fails_in_an_unforeseen_way(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: object) -> bool:
        raise ZeroDivisionError

    raising_that(monkeypatch, work)
    assert supervisor.supervise(plan, echo=lambda _: None) == 1


def test_a_stop_signal_never_waits_for_the_loop_that_it_interrupts(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: dict[int, Callable[[], None]] = {}
    monkeypatch.setattr(signal, "signal", lambda n, handler: handlers.update({n: handler}))
    over, asked = threading.Event(), []

    def make(_plan: Plan, desk: Desk, **_: Any) -> SimpleNamespace:
        def refresh() -> None:
            # The signal comes while the loop holds this lock; here it is free to take its time.
            with desk.wake._cond:  # type: ignore[attr-defined]
                handler = threading.Thread(target=handlers[signal.SIGTERM], daemon=True)
                handler.start()
                handler.join(5)
                asked.append(handler.is_alive())

        return SimpleNamespace(run=lambda: over.wait(30), report=SimpleNamespace(refresh=refresh))

    monkeypatch.setattr(supervisor, "Raising", make)
    monkeypatch.setattr(supervisor, "Trickle", lambda *_: threading.Thread())
    assert supervisor.supervise(plan, echo=lambda _: None) == 0
    over.set()
    assert asked == [False]


def test_what_it_kept_lives_on_when_it_ends(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(plan: Plan, desk: Desk) -> bool:
        log = plan.dir / "sleeper.log"
        desk.keep(Service(name="sleeper", argv=lambda: ["sleep", "600"], log=log))
        # Its record appears with the tick that follows; then the raising fails.
        record = plan.dir / "run" / "sleeper.json"
        wait_until(record.exists, timeout=10, what="sleeper started", every=0.05)
        return False

    raising_that(monkeypatch, work)
    assert supervisor.supervise(plan, echo=lambda _: None) == 1
    pid, started = read_record(plan.dir / "run" / "sleeper.json")
    assert is_alive(pid, started)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_there_is_one_supervisor_of_a_range(plan: Plan) -> None:
    with (
        supervisor.sole(plan),
        pytest.raises(RangeError, match="supervised already"),
        supervisor.sole(plan),
    ):
        pass
    assert supervisor.running(plan) == os.getpid()  # this very process says so of itself
