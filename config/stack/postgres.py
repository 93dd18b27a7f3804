"""The embedded PostgreSQL: a data directory, a socket that is not on the network, one database."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from config.stack.account import Account
from config.stack.binaries import postgres_programs
from config.stack.errors import StackError

USER = "belay"
DATABASE = "belay"
SOCKET_PATH_MAX = 107
"""Bytes in a Unix socket's address on Linux, without the closing zero."""

SETTINGS = """\
# Written by Belay at every start; changes are lost.
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 120
shared_buffers = 64MB
dynamic_shared_memory_type = mmap
log_min_duration_statement = 500ms
log_line_prefix = '%m [%p] %a '
timezone = 'UTC'
log_timezone = 'UTC'
datestyle = 'iso'
"""
HBA = "local all all scram-sha-256\n"


@dataclass(frozen=True, slots=True)
class Postgres:
    """One server: where its programs, data and socket are, and who runs it."""

    binaries: Path
    data: Path
    socket_dir: Path
    account: Account
    password: str
    durable: bool = True
    """False gives up crash safety for speed: for tests only."""

    @property
    def url(self) -> str:
        """The DATABASE_URL of Belay's database."""
        password = quote(self.password, safe="")
        return f"postgres://{USER}:{password}@{quote(str(self.socket_dir), safe='')}/{DATABASE}"

    def command(self) -> list[str]:
        """The server in the foreground."""
        return [
            str(postgres_programs(self.binaries) / "postgres"),
            "-D",
            str(self.data),
            "-k",
            str(self.socket_dir),
        ]

    def prepare(self) -> None:
        """Make the data directory where there is none, and write the settings.

        Raises StackError when `initdb` fails or the socket's path is too long.
        """
        require_short(self.socket_dir / ".s.PGSQL.5432")
        self.account.make_directory(self.socket_dir)
        if not (self.data / "PG_VERSION").exists():
            self._initdb()
        settings = SETTINGS
        if not self.durable:
            settings += "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"
        self._write("belay.conf", settings)
        self._write("pg_hba.conf", HBA)
        main = self.data / "postgresql.conf"
        line = "include = 'belay.conf'\n"
        if line not in main.read_text():
            with main.open("a") as file:
                file.write(line)

    def _write(self, name: str, text: str) -> None:
        path = self.data / name
        path.write_text(text)
        path.chmod(0o600)
        self.account.own(path)

    def _initdb(self) -> None:
        # Made beside its place and renamed: a start that was cut short leaves no half database.
        fresh = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        self.account.make_directory(fresh)
        password_file = self.data.with_name("initdb.password")
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        self.account.own(password_file)
        password_file.write_text(self.password + "\n")
        result = self.run_as_account(
            [
                str(postgres_programs(self.binaries) / "initdb"),
                f"--pgdata={fresh}",
                f"--username={USER}",
                f"--pwfile={password_file}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                *([] if self.durable else ["--no-sync"]),
            ],
        )
        password_file.unlink()
        if result.returncode != 0:
            raise StackError(
                f"PostgreSQL could not make its data directory {self.data}: "
                f"{result.stderr.strip().splitlines()[-1] if result.stderr.strip() else 'no word'}"
            )
        fresh.rename(self.data)

    def run_as_account(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run one program to its end as the services' account."""
        account = self.account
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            text=True,
            capture_output=True,
            check=False,
            cwd="/",
            env=clean_environment(),
            user=account.uid if account.differs else None,
            group=account.gid if account.differs else None,
            extra_groups=[] if account.differs else None,
        )

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        """Start the server as our child (the tests do; the demo leaves it to its supervisor).

        It ends with us, also when we are killed: the kernel then sends it SIGINT.
        """
        account = self.account
        with log.open("ab") as output:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "INT", *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=clean_environment(),
                user=account.uid if account.differs else None,
                group=account.gid if account.differs else None,
                extra_groups=[] if account.differs else None,
                start_new_session=True,
            )

    def await_ready(self, *, timeout_s: float, log: Path) -> None:
        """Wait for the server and make Belay's database. Raises StackError at the timeout."""
        give_up_at = time.monotonic() + timeout_s
        while True:
            try:
                self._make_database()
            except psycopg2.OperationalError as error:
                if time.monotonic() > give_up_at:
                    raise StackError(
                        f"PostgreSQL did not answer within {timeout_s:g} s ({error}); its log is "
                        f"{log}."
                    ) from error
                time.sleep(0.05)
            else:
                return

    def _make_database(self) -> None:
        connection = psycopg2.connect(
            host=str(self.socket_dir),
            user=USER,
            password=self.password,
            dbname="postgres",
            connect_timeout=3,
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
                if cursor.fetchone() is None:
                    cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
        finally:
            connection.close()


def require_short(socket: Path) -> None:
    """Raise StackError when the system cannot hold the address of this socket."""
    length = len(os.fsencode(socket))
    if length > SOCKET_PATH_MAX:
        raise StackError(
            f"The state directory's path is {length - SOCKET_PATH_MAX} bytes too long for a "
            "socket in it: set BELAY_STATE_DIR to a shorter one."
        )


def clean_environment() -> dict[str, str]:
    """The environment of the embedded services: nothing secret crosses to their account."""
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
