"""The few Debian packages that a range needs, installed when they are missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from practice.system import CommandError, RangeError, run

NEEDED = {
    "containerd": "/usr/bin/containerd",
    "runc": "/usr/sbin/runc",
    "containernetworking-plugins": "/usr/lib/cni/ptp",
    "nftables": "/usr/sbin/nft",
    "conntrack": "/usr/sbin/conntrack",
    "iproute2": "/usr/sbin/ip",
    "busybox-static": "/usr/bin/busybox",
    "util-linux": "/usr/bin/unshare",
    "mount": "/usr/bin/mount",
    "openssl": "/usr/bin/openssl",
    "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",
}


def missing() -> list[str]:
    """Names of the packages whose program is not there."""
    return [name for name, path in NEEDED.items() if not _present(path)]


def _present(path: str) -> bool:
    # Machines with a split /usr have some of them in /bin or /sbin.
    return any(Path(p).exists() for p in (path, path.removeprefix("/usr")))


def ensure(say: Callable[[str], None]) -> None:
    """Install what lacks with apt-get; RangeError in one sentence when that is impossible."""
    lacking = missing()
    if not lacking:
        return
    if shutil.which("apt-get") is None:
        raise RangeError(
            f"this machine lacks {', '.join(lacking)} and has no apt-get: install them, "
            "then raise the range again"
        )
    say(f"installing {', '.join(lacking)}")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *lacking]
    try:
        run(["apt-get", "update", "--quiet"], timeout=600, env=env)
        run(install, timeout=900, env=env)
    except CommandError as error:
        raise RangeError(
            f"apt-get could not install {', '.join(lacking)}: {error.output.strip()[-300:]}"
        ) from error
    if still := missing():
        raise RangeError(f"apt-get installed {', '.join(still)}, but the programs are not there")
