"""The embedded Redis: the broker's messages, on a socket that is not on the network.

Nothing is written to disk. Messages are hints (rows are the truth), so a broker that starts
empty costs a second, and a stale message from before a restart never comes back.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import redis

from config.stack.account import Account
from config.stack.errors import StackError
from config.stack.postgres import require_short


@dataclass(frozen=True, slots=True)
class Redis:
    """One server: where its program and socket are, and who runs it."""

    binaries: Path
    socket_dir: Path
    account: Account

    @property
    def socket(self) -> Path:
        return self.socket_dir / "redis.sock"

    @property
    def url(self) -> str:
        """The REDIS_URL that Celery understands."""
        return f"redis+socket://{self.socket}"

    def command(self) -> list[str]:
        """The server in the foreground."""
        return [
            str(self.binaries / "redis-server"),
            *("--port", "0"),
            *("--unixsocket", str(self.socket)),
            *("--unixsocketperm", "700"),
            *("--save", ""),
            *("--appendonly", "no"),
            *("--dir", str(self.socket_dir)),
            *("--maxmemory", "256mb"),
            *("--maxmemory-policy", "noeviction"),
            *("--daemonize", "no"),
        ]

    def prepare(self) -> None:
        """Make the socket's directory. Raises StackError when its path is too long."""
        require_short(self.socket)
        self.account.make_directory(self.socket_dir)

    def await_ready(self, *, timeout_s: float, log: Path) -> None:
        """Wait until the server answers. Raises StackError at the timeout."""
        client = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=1)
        give_up_at = time.monotonic() + timeout_s
        try:
            while True:
                try:
                    client.ping()
                except redis.RedisError as error:
                    if time.monotonic() > give_up_at:
                        raise StackError(
                            f"Redis did not answer within {timeout_s:g} s; its log is {log}."
                        ) from error
                    time.sleep(0.05)
                else:
                    return
        finally:
            client.close()
