"""Keeping processes alive: real processes, a clock of our own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from practice.keeper import BACKOFF_MAX_S, Keeper, Service, read_record, spawn
from practice.system import is_alive, start_ticks, wait_until


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keeper(tmp_path: Path, clock: Clock) -> Iterator[Keeper]:
    keeper = Keeper(tmp_path / "run", now=clock)
    yield keeper
    for pid in keeper.pids():
        os.kill(pid, signal.SIGKILL)


def sleeper(tmp_path: Path, **changes: object) -> Service:
    values: dict[str, object] = {
        "name": "sleeper",
        "argv": lambda: ["sleep", "600"],
        "log": tmp_path / "sleeper.log",
    }
    return Service(**(values | changes))  # type: ignore[arg-type]


def kill_and_notice(keeper: Keeper, service: Service) -> None:
    """SIGKILL it, and tick until the keeper has noticed (it starts nothing: no time passes)."""
    os.kill(service.pid, signal.SIGKILL)

    def noticed() -> bool:
        keeper.tick()
        return service.pid == 0

    wait_until(noticed, timeout=5, what="death noticed", every=0.01)


def test_the_dead_are_started_again_after_a_pause_that_grows(
    keeper: Keeper, clock: Clock, tmp_path: Path
) -> None:
    service = sleeper(tmp_path)
    keeper.keep(service)
    pauses = []
    for _ in range(7):
        keeper.tick()
        assert service.pid
        kill_and_notice(keeper, service)
        pauses.append(service.not_before - clock.now)
        keeper.tick()
        assert service.pid == 0
        clock.now = service.not_before
    assert pauses == sorted(pauses)
    assert pauses[-1] == BACKOFF_MAX_S
    assert service.restarts == 7


def test_who_lived_long_is_started_again_at_once(
    keeper: Keeper, clock: Clock, tmp_path: Path
) -> None:
    service = sleeper(tmp_path, backoff=8.0)
    keeper.keep(service)
    keeper.tick()
    clock.now += 60
    kill_and_notice(keeper, service)
    assert service.not_before - clock.now == 0.5


def test_a_living_process_on_record_is_adopted_and_not_doubled(
    keeper: Keeper, tmp_path: Path
) -> None:
    first = sleeper(tmp_path)
    keeper.keep(first)
    keeper.tick()
    other = Keeper(tmp_path / "run")
    second = sleeper(tmp_path)
    other.keep(second)
    other.tick()
    assert second.pid == first.pid
    assert second.restarts == 0


def test_a_record_of_another_process_with_that_pid_is_not_believed(
    keeper: Keeper, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    record = f'{{"pid": {os.getpid()}, "started": {(start_ticks(os.getpid()) or 0) - 1}}}'
    (tmp_path / "run" / "sleeper.json").write_text(record)
    service = sleeper(tmp_path)
    keeper.keep(service)
    keeper.tick()
    assert service.pid not in {0, os.getpid()}


def test_nothing_starts_before_it_is_ready(keeper: Keeper, tmp_path: Path) -> None:
    ready: list[bool] = []
    service = sleeper(tmp_path, ready=lambda: bool(ready))
    keeper.keep(service)
    keeper.tick()
    assert service.pid == 0
    ready.append(True)
    keeper.tick()
    assert service.pid


def test_a_service_that_cannot_start_is_noted_and_keeps_nobody_else(
    keeper: Keeper, tmp_path: Path
) -> None:
    keeper.keep(sleeper(tmp_path, name="absent", argv=lambda: ["/no/such/program"]))
    service = sleeper(tmp_path)
    keeper.keep(service)
    keeper.tick()
    assert service.pid
    assert "absent: cannot start" in (tmp_path / "sleeper.log").read_text()


def test_stopping_waits_until_it_is_gone(keeper: Keeper, tmp_path: Path) -> None:
    service = sleeper(tmp_path)
    keeper.keep(service)
    keeper.tick()
    pid, started = read_record(tmp_path / "run" / "sleeper.json")
    keeper.stop("sleeper")
    assert not is_alive(pid, started)
    assert "sleeper" not in keeper


def test_a_spawned_process_is_deaf_to_our_terminal(tmp_path: Path) -> None:
    pid = spawn(["sleep", "600"], tmp_path / "log")
    try:
        assert os.getsid(pid) == pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
