"""Where everything of one stack lies, below its state directory."""

from __future__ import annotations

import dataclasses
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet

from config.env import STACK_ENV, read_stack_env
from config.stack.account import require_reachable, service_account
from config.stack.errors import StackError
from config.stack.postgres import Postgres
from config.stack.redis import Redis

CHECKOUT = Path(__file__).resolve().parents[2]
DEFAULT_PORT = 8300
MARKER = "BELAY_STACK"
"""The variable that every process of a stack carries; its value is the state directory."""
RANGE_RAISED = "BELAY_RANGE_RAISED"


def raised_its_range(kept: Mapping[str, str]) -> bool:
    """Whether a `stack.env` says that its demo raised the range itself, and did not only use it."""
    return kept.get(RANGE_RAISED, "1") == "1"


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack: its state directory, its web port and the practice range that it uses."""

    state_dir: Path
    port: int = DEFAULT_PORT
    range_name: str = "demo"

    @property
    def logs(self) -> Path:
        return self.state_dir / "logs"

    @property
    def supervisor_dir(self) -> Path:
        return self.state_dir / "supervisor"

    @property
    def supervisor_socket(self) -> Path:
        return self.supervisor_dir / "supervisor.sock"

    @property
    def supervisor_conf(self) -> Path:
        return self.supervisor_dir / "supervisord.conf"

    @property
    def binaries(self) -> Path:
        return self.state_dir / "binaries"

    @property
    def pid_file(self) -> Path:
        return self.state_dir / "demo.json"

    @property
    def sample_password_file(self) -> Path:
        """The password of the sample people, made at the first start."""
        return self.state_dir / "sample-password"

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self, program: str) -> Path:
        return self.logs / f"{program}.log"

    def make_directories(self) -> None:
        """Make the state directory and ours in it. Raises StackError where that is refused."""
        try:
            self.state_dir.mkdir(parents=True, exist_ok=True)
            # The services' account passes through; only what is meant for it can be opened.
            self.state_dir.chmod(0o711)
            for directory in (self.logs, self.supervisor_dir):
                directory.mkdir(mode=0o700, exist_ok=True)
        except PermissionError as error:
            raise StackError(
                f"{error.filename} cannot be written by this user: set BELAY_STATE_DIR to a "
                "folder of your own."
            ) from error
        require_reachable(self.state_dir / "postgres", service_account())

    def postgres(self, environment: dict[str, str]) -> Postgres:
        return Postgres(
            binaries=self.binaries,
            data=self.state_dir / "postgres",
            socket_dir=self.state_dir / "run-postgres",
            account=service_account(),
            password=environment["BELAY_POSTGRES_PASSWORD"],
        )

    def redis(self) -> Redis:
        return Redis(
            binaries=self.binaries,
            socket_dir=self.state_dir / "run-redis",
            account=service_account(),
        )

    def load_environment(self, *, raises_range: bool = True) -> dict[str, str]:
        """The variables of every process of this stack; secrets are made at the first start.

        They are kept in `stack.env` (0600), so that a command in a shell beside the running
        stack finds its database. A `DATABASE_URL` or `REDIS_URL` of the real environment wins:
        then that server is used and no embedded one is started.

        `raises_range` is kept too: cleaning takes down only a range that this stack ever raised.
        """
        kept = read_stack_env(self.state_dir)
        raised_before = kept.get("BELAY_RANGE") == self.range_name and raised_its_range(kept)
        made = {
            "BELAY_POSTGRES_PASSWORD": secrets.token_urlsafe(32),
            "BELAY_SECRET_KEY": secrets.token_urlsafe(48),
            "BELAY_QA_CREDENTIALS_KEY": Fernet.generate_key().decode(),
        }
        environment = {name: kept.get(name, value) for name, value in made.items()}
        environment |= {
            "BELAY_STATE_DIR": str(self.state_dir),
            "BELAY_RANGE": self.range_name,
            RANGE_RAISED: "1" if raises_range or raised_before else "0",
            "BELAY_PORT": str(self.port),
            "BELAY_PUBLIC_URL": os.environ.get("BELAY_PUBLIC_URL", self.base_url),
            "BELAY_EMBEDDED": "0" if os.environ.get("DATABASE_URL") else "1",
            "DATABASE_URL": os.environ.get("DATABASE_URL") or self.postgres(environment).url,
            "REDIS_URL": os.environ.get("REDIS_URL") or self.redis().url,
        }
        given = ("BELAY_SECRET_KEY", "BELAY_QA_CREDENTIALS_KEY", "BELAY_ALLOWED_HOSTS")
        environment |= {name: os.environ[name] for name in given if os.environ.get(name)}
        self._keep(environment)
        return environment

    def sample_password(self) -> str:
        """The password of the sample people: random for each state directory, typed by hand."""
        path = self.sample_password_file
        if not path.exists():
            _write_private(path, f"belay-{secrets.token_hex(4)}\n")
        return path.read_text().strip()

    def _keep(self, environment: dict[str, str]) -> None:
        lines = [f"{name}={value}\n" for name, value in environment.items()]
        _write_private(self.state_dir / STACK_ENV, "".join(lines))


def _write_private(path: Path, text: str) -> None:
    """Write a 0600 file in one rename; nobody else can open it at any moment."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.rename(path)


def existing_stack(state_dir: Path) -> Stack:
    """The stack that was started in this state directory, with the port that it was given."""
    kept = read_stack_env(state_dir)
    stack = Stack(state_dir=state_dir)
    return dataclasses.replace(
        stack,
        port=int(kept.get("BELAY_PORT", stack.port)),
        range_name=kept.get("BELAY_RANGE", stack.range_name),
    )
