"""Tear-down without a range: what is shared goes with the last one, and not before."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from practice import machine, teardown
from practice.plan import Plan, cache_dir, ranges_dir
from practice.system import file_lock, is_alive, start_ticks, write_atomic


def begin(name: str) -> Plan:
    """A range of which there is only the plan."""
    plan = Plan(name, 0)
    write_atomic(plan.dir / "plan.json", plan.to_json())
    return plan


@pytest.fixture
def sysctls(own_dirs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files in the place of the machine's settings."""
    path = own_dirs / "sys"
    for name, value in ((machine.INOTIFY, "128"), ("kernel/panic", "0")):
        (path / name).parent.mkdir(parents=True)
        (path / name).write_text(f"{value}\n")
    monkeypatch.setattr(machine, "SYSCTLS", path)
    return path


def test_the_machines_settings_are_put_back_with_the_last_range(sysctls: Path) -> None:
    limit, panic = sysctls / machine.INOTIFY, sysctls / "kernel/panic"
    one, two = begin("one"), begin("two")
    machine.prepare()
    panic.write_text("10\n")  # as a kubelet does
    machine.prepare()
    assert limit.read_text() == "1024"
    (one.dir / "plan.json").unlink()
    machine.restore()
    assert (limit.read_text(), panic.read_text()) == ("1024", "10\n")
    (two.dir / "plan.json").unlink()
    machine.restore()
    assert (limit.read_text(), panic.read_text()) == ("128", "0")


def test_a_limit_that_is_high_enough_is_left_alone(sysctls: Path) -> None:
    (sysctls / machine.INOTIFY).write_text("65536")
    begin("one")
    machine.prepare()
    assert (sysctls / machine.INOTIFY).read_text() == "65536"


def test_the_cache_stays_while_another_range_runs_from_it(own_dirs: Path) -> None:
    begin("other")
    (cache_dir() / "programs").mkdir(parents=True)
    assert "range other runs from it" in teardown.purge_cache()
    assert cache_dir().exists()
    (Plan("other", 0).dir / "plan.json").unlink()
    teardown.purge_cache()
    assert not cache_dir().exists()


def test_nothing_is_left_after_the_last_range_and_others_keep_theirs(own_dirs: Path) -> None:
    other = begin("other")
    with file_lock(ranges_dir() / ".machine.lock"):
        pass
    teardown.remove_empty_directories()
    assert other.dir.exists()
    (other.dir / "plan.json").unlink()
    other.dir.rmdir()
    teardown.remove_empty_directories()
    assert not ranges_dir().exists()


def test_who_waits_for_a_lock_that_is_removed_gets_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with file_lock(path):
        path.unlink()
    with file_lock(path) as mine:
        assert mine
        assert path.exists()


def test_processes_are_found_by_their_mark_and_strangers_are_not(own_dirs: Path) -> None:
    plan = begin("one")
    ours = subprocess.Popen(["sleep", "600"], env={"PATH": os.environ["PATH"]} | plan.mark())
    stranger = subprocess.Popen(["sleep", "600"], env={"PATH": os.environ["PATH"]})
    try:
        started = start_ticks(ours.pid) or 0
        assert teardown.marked_processes(plan) == [ours.pid]
        assert teardown.processes_of(plan) == [(ours.pid, "sleep 600")]
        teardown.end_recorded(plan)
        assert not is_alive(ours.pid, started)
        assert stranger.poll() is None
    finally:
        for process in (ours, stranger):
            process.kill()
            process.wait()
