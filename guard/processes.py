"""Processes of the node, as /proc shows them. A pid alone names nothing: pid and start time do."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from guard.cgroups import place_of
from guard.protocol import Boot, Component, ProcessInfo
from guard.world import FoundProcess

_GONE_STATES = "ZX"
"""Zombie and dead: such a process serves nothing and holds nothing."""


class ProcessTable:
    """Looks at /proc and sends SIGKILL; nothing else."""

    def __init__(self, proc: Path) -> None:
        self._proc = proc

    def boot(self) -> Boot:
        boot_id = (self._proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        started = self.started_ticks(1)
        if started is None:
            raise OSError(f"{self._proc}/1/stat cannot be read: is this pod without hostPID?")
        return Boot(boot_id=boot_id, init_started_ticks=started)

    def started_ticks(self, pid: int) -> int | None:
        """Field 22 of /proc/PID/stat; None when the process is gone or a zombie."""
        text = self._read(pid, "stat")
        # The second field is the name in parentheses and may itself contain any character.
        fields = text.rpartition(")")[2].split()
        if len(fields) < 20 or fields[0] in _GONE_STATES:
            return None
        return int(fields[19])

    def alive(self, process: ProcessInfo) -> bool:
        return self.started_ticks(process.pid) == process.started_ticks

    def find(self, component: Component, pod_uid: str | None = None) -> list[FoundProcess]:
        """Processes named `component` in containers of static pods (of one pod, if given).

        The name alone would also match somebody's own etcd, on the node or in an ordinary pod.
        """
        found = []
        for pid in self._pids():
            name = self._read(pid, "cmdline").partition("\0")[0].rpartition("/")[2]
            if name != component:
                continue
            place = place_of(self._read(pid, "cgroup"))
            if place is None or not place.static or not place.container_id:
                continue
            if pod_uid is not None and place.pod_uid != pod_uid:
                continue
            started = self.started_ticks(pid)
            if started is not None:
                info = ProcessInfo(pid=pid, started_ticks=started, container_id=place.container_id)
                found.append(FoundProcess(info=info, pod_uid=place.pod_uid))
        return sorted(found, key=lambda item: item.info.pid)

    def kill(self, process: ProcessInfo) -> None:
        """SIGKILL through a pidfd: between look and signal the pid may have gone to another."""
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(process.pid)
            try:
                if self.alive(process):
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            finally:
                os.close(descriptor)

    def pod_uids(self) -> list[str]:
        """UIDs of all pods that have a live process on this node."""
        uids = set()
        for pid in self._pids():
            place = place_of(self._read(pid, "cgroup"))
            if place is not None and self.started_ticks(pid) is not None:
                uids.add(place.pod_uid)
        return sorted(uids)

    def _pids(self) -> Iterator[int]:
        with os.scandir(self._proc) as entries:
            for entry in entries:
                if entry.name.isdigit():
                    yield int(entry.name)

    def _read(self, pid: int, name: str) -> str:
        """A small file of /proc/PID; empty when the process is gone meanwhile."""
        try:
            descriptor = os.open(f"{self._proc}/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return ""
        try:
            return os.read(descriptor, 65536).decode("utf-8", "replace")
        except OSError:
            return ""
        finally:
            os.close(descriptor)
