"""The one setting of the machine that ranges have to raise, and its way back.

Each API server, controller and kubelet watches its files with inotify. Three nodes come near the
usual limit of 128 instances per user, two ranges pass it.
"""

from __future__ import annotations

from pathlib import Path

from practice.plan import ranges_dir
from practice.system import file_lock, write_atomic

SETTING = Path("/proc/sys/fs/inotify/max_user_instances")
NEEDED = 1024


def _record() -> Path:
    return ranges_dir() / ".inotify-before"


def raise_limits() -> None:
    """Raise the limit when it is low, and note what it was."""
    with file_lock(ranges_dir() / ".machine.lock"):
        before = int(SETTING.read_text())
        if before < NEEDED:
            if not _record().exists():
                write_atomic(_record(), str(before))
            SETTING.write_text(str(NEEDED))


def restore_limits() -> None:
    """Put the limit back when no range is left."""
    with file_lock(ranges_dir() / ".machine.lock"):
        if any(ranges_dir().glob("*/plan.json")) or not _record().exists():
            return
        SETTING.write_text(_record().read_text())
        _record().unlink()
