"""Which processes count as the component: by name, container and static pod, all three."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.processes import ProcessTable
from guard.protocol import Component, ProcessInfo
from tests.guard.running import await_true

STATIC = "0123456789abcdef0123456789abcdef"
ORDINARY = "8f1c2d3e-1234-4abc-8def-0123456789ab"
BOX = "a" * 64


class View:
    """A /proc of files, some of which point at real processes."""

    def __init__(self, proc: Path) -> None:
        self.proc = proc
        self.table = ProcessTable(proc)
        self.real: list[subprocess.Popen[bytes]] = []

    def add(self, name: str, cgroup: str) -> ProcessInfo:
        child = subprocess.Popen([name, "600"], executable="/bin/sleep")
        self.real.append(child)
        folder = self.proc / str(child.pid)
        folder.mkdir()
        for file in ("stat", "cmdline"):
            (folder / file).symlink_to(f"/proc/{child.pid}/{file}")
        (folder / "cgroup").write_text(cgroup, encoding="ascii")
        # Between fork and exec it still has our own name.
        await_true("it runs under its name", lambda: (folder / "cmdline").read_text() != "")
        started = self.table.started_ticks(child.pid)
        assert started is not None
        return ProcessInfo(pid=child.pid, started_ticks=started, container_id=BOX)


@pytest.fixture
def view(tmp_path: Path) -> Iterator[View]:
    made = View(tmp_path)
    yield made
    for child in made.real:
        child.kill()
        child.wait()


def test_only_the_static_pods_process_of_that_name_is_found(view: View) -> None:
    wanted = view.add("/usr/local/bin/etcd", f"0::/kubepods/burstable/pod{STATIC}/{BOX}\n")
    view.add("etcd", f"0::/kubepods/burstable/pod{ORDINARY}/{BOX}\n")
    view.add("etcd", "0::/system.slice/etcd.service\n")
    view.add("etcdctl", f"0::/kubepods/burstable/pod{STATIC}/{BOX}\n")
    assert [found.info for found in view.table.find(Component.ETCD)] == [wanted]
    assert view.table.find(Component.ETCD, "f" * 32) == []
    assert view.table.pod_uids() == [STATIC, ORDINARY]


def test_kill_takes_exactly_this_process_and_a_zombie_is_gone(view: View) -> None:
    process = view.add("etcd", f"0::/kubepods/pod{STATIC}/{BOX}\n")
    view.table.kill(
        ProcessInfo(pid=process.pid, started_ticks=process.started_ticks + 1, container_id=BOX)
    )
    assert view.table.alive(process), "another start time is another process"
    view.table.kill(process)
    # Nobody has waited for it: it is a zombie, which serves nothing.
    await_true("gone", lambda: not view.table.alive(process))
    assert view.real[0].returncode is None
    assert view.table.find(Component.ETCD) == []
    view.real[0].wait()
    view.table.kill(process)


def test_a_name_with_parentheses_does_not_move_the_fields(view: View, tmp_path: Path) -> None:
    folder = tmp_path / "4242"
    folder.mkdir()
    fields = ["S", *["0"] * 18, "777", "0", "0"]
    (folder / "stat").write_text(f"4242 (a ) b (c) {' '.join(fields)}", encoding="ascii")
    assert view.table.started_ticks(4242) == 777


def test_a_node_whose_first_process_is_hidden_is_said_so(view: View, tmp_path: Path) -> None:
    random = tmp_path / "sys/kernel/random"
    random.mkdir(parents=True)
    (random / "boot_id").write_text("x\n", encoding="ascii")
    with pytest.raises(OSError, match="hostPID"):
        view.table.boot()
