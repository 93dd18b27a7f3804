"""The settings of the machine that ranges change, and their way back.

Each API server, controller and kubelet watches its files with inotify. Three nodes come near the
usual limit of 128 instances per user, two ranges pass it: so it is raised. The kubelet itself
sets the others for the whole machine (kubernetes/kubernetes, pkg/kubelet/cm,
`setupKernelTunables`). All are noted before the first range, and put back after the last.
"""

from __future__ import annotations

import json
from pathlib import Path

from practice.plan import ranges_dir
from practice.system import file_lock, write_atomic

SYSCTLS = Path("/proc/sys")
INOTIFY = "fs/inotify/max_user_instances"
INOTIFY_LEAST = 1024
SET_BY_KUBELETS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)


def _record() -> Path:
    return ranges_dir() / ".machine-before.json"


def prepare() -> None:
    """Note the settings, unless a range stands already, and raise the limit when it is low."""
    with file_lock(ranges_dir() / ".machine.lock"):
        if not _record().exists():
            before = {name: (SYSCTLS / name).read_text().strip() for name in _settings()}
            write_atomic(_record(), json.dumps(before))
        limit = SYSCTLS / INOTIFY
        if int(limit.read_text()) < INOTIFY_LEAST:
            limit.write_text(str(INOTIFY_LEAST))


def _settings() -> list[str]:
    return [name for name in (INOTIFY, *SET_BY_KUBELETS) if (SYSCTLS / name).exists()]


def restore() -> None:
    """Put the settings back when no range is left."""
    with file_lock(ranges_dir() / ".machine.lock"):
        if any(ranges_dir().glob("*/plan.json")) or not _record().exists():
            return
        for name, value in json.loads(_record().read_text()).items():
            if (SYSCTLS / name).read_text().strip() != value:
                (SYSCTLS / name).write_text(value)
        _record().unlink()
