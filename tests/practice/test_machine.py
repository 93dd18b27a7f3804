"""What the range asks of a machine, and how it says what lacks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from practice import cgroups, packages, preflight, system
from practice.plan import Plan
from practice.system import REPOSITORY, CommandError, RangeError

HYBRID = """\
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nosuid 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,nosuid,xattr,name=systemd 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,nodev,noexec,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset,clone_children 0 0
cgroup /run/elsewhere/memory cgroup rw,memory 0 0
"""


def test_version_1_hierarchies_are_read_with_the_option_that_mounts_them_again() -> None:
    assert cgroups.v1_hierarchies(HYBRID) == {
        "systemd": "none,name=systemd",
        "cpu,cpuacct": "cpu,cpuacct",
        "cpuset": "cpuset",
    }


def test_without_root_it_is_one_sentence_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    [first, *_] = preflight.problems()
    assert first == "the range needs root: run this command again as root"


def test_every_lack_is_told_at_once(own_dirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(preflight, "has_capability", lambda _: False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(preflight, "available_memory", lambda: 2 * 1024**3)
    monkeypatch.setattr(cgroups, "missing_controllers", lambda: {"cpuset"})
    told = "\n".join(preflight.problems())
    for word in ("CAP_SYS_ADMIN", "has 1", "there are 2.0", "cpuset"):
        assert word in told


def test_a_small_disk_is_named_with_its_path(
    own_dirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "DISK_LEAST_COLD_GIB", 1e9)
    [told] = preflight.disk_problems()
    assert str(own_dirs / "cache") in told
    assert "BELAY_CACHE_DIR" in told


def test_a_taken_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setattr(Plan, "gateway", "127.0.0.1")
        monkeypatch.setattr(preflight, "API_PORT", port)
        with pytest.raises(RangeError, match=f"port {port} of 127.0.0.1 is taken"):
            preflight.check_ports(Plan("x", 0))


def test_without_apt_get_the_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "NEEDED", {"something": "/no/such/program"})
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RangeError, match=r"lacks something and has no apt-get"):
        packages.ensure(lambda _: None)


def test_a_command_that_is_too_slow_is_killed_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {mark}; wait"
    with pytest.raises(CommandError, match="no end after"):
        system.run(["sh", "-c", script], timeout=1)
    child = int(mark.read_text())
    system.wait_until(lambda: system.start_ticks(child) is None, timeout=5, what="child gone")


def test_a_failed_command_says_what_it_said() -> None:
    with pytest.raises(CommandError, match=r"ended with 3: the reason"):
        system.run(["sh", "-c", "echo the reason >&2; exit 3"])
    with pytest.raises(CommandError, match="ended with 127"):
        system.run(["/no/such/program"])


def test_a_lock_is_free_again_when_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    hold = (
        "import sys, time; from pathlib import Path; from practice.system import file_lock\n"
        "with file_lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], cwd=REPOSITORY, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    with holder, holder.stdout:
        holder.stdout.readline()
        with system.file_lock(path, wait=False) as mine:
            assert not mine
        holder.kill()
        holder.wait()
    with system.file_lock(path, wait=False) as mine:
        assert mine


def test_a_log_is_bounded_while_its_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("a") as writer:
        writer.write("x" * 100)
        writer.flush()
        system.bound_log(path, limit=50)
        writer.write("after")
    assert path.read_text() == "after"
    assert (tmp_path / "log.1").stat().st_size == 100


@pytest.mark.parametrize("words", [["manage.py", "range"], ["-m", "practice"]])
def test_errors_are_one_line_and_need_no_database(words: list[str], own_dirs: Path) -> None:
    environment = os.environ | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, *words, "status", "--name", "absent"],
        cwd=REPOSITORY, capture_output=True, text=True, env=environment, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        "range: there is no range 'absent': raise it with `range up --name absent`\n"
    )
    assert time.monotonic() - began < 30
