"""The unprivileged account of the embedded services.

PostgreSQL refuses to run as root. Started by root, the services run as `nobody`; started by
anybody else, they run as that person.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from config.stack.errors import StackError

SERVICE_USER = "nobody"


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the services run as."""

    name: str
    uid: int
    gid: int

    @property
    def differs(self) -> bool:
        """True when starting a service means giving up the rights that we have."""
        return self.uid != os.geteuid()

    def own(self, path: Path) -> None:
        """Give `path` to this account."""
        if self.differs:
            os.chown(path, self.uid, self.gid)

    def make_directory(self, path: Path) -> None:
        """Make a directory that only this account (and root) can look into."""
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)
        self.own(path)


def service_account() -> Account:
    """`nobody` for root, else whoever asks."""
    if os.geteuid() != 0:
        person = pwd.getpwuid(os.geteuid())
    else:
        try:
            person = pwd.getpwnam(SERVICE_USER)
        except KeyError as error:
            raise StackError(
                f"There is no account {SERVICE_USER!r} for PostgreSQL, which refuses to run as "
                "root: add it, or start the demo as an ordinary user."
            ) from error
    return Account(name=person.pw_name, uid=person.pw_uid, gid=person.pw_gid)


def require_reachable(path: Path, account: Account) -> None:
    """Raise StackError where `account` cannot pass through a folder above `path`."""
    if not account.differs:
        return
    for parent in path.parents:
        if parent.exists() and not parent.stat().st_mode & 0o001:
            raise StackError(
                f"The services run as {account.name!r}, who may not pass through {parent}: set "
                "BELAY_STATE_DIR to a place such as /var/lib/belay/demo."
            )
