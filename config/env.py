"""Belay's configuration, read from the environment once, with errors that say what to do.

Where `DATABASE_URL` is not set, `<state dir>/stack.env` is read: the embedded stack writes it
(mode 0600), so that `manage.py guard status qa-range` just works from a shell beside a running
demo. Variables of the real environment always win over that file.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

STACK_ENV = "stack.env"
SECRET_KEY_LENGTH_MIN = 32
BARE_SECRET_KEY_LENGTH = 50


class ConfigurationError(ImproperlyConfigured):
    """A variable is missing or wrong. The message names it, its value and what to do."""


@dataclass(frozen=True, slots=True)
class Env:
    """Every setting that differs from one installation to the next."""

    state_dir: Path
    database: dict[str, Any]
    redis_url: str
    secret_key: str
    qa_credentials_keys: list[str]
    production_credentials_keys: list[str]
    allowed_hosts: list[str]
    public_url: str
    debug: bool
    embedded: bool
    probe_allow_loopback: bool
    log_format: str
    log_level: str
    db_deadline_s: float | None
    qa_range: str
    rehearsal_hours: int
    observe_min_s: int


def default_state_dir() -> Path:
    """Where the embedded stack keeps its data: the system's place for root, else the person's."""
    if os.geteuid() == 0:
        return Path("/var/lib/belay/demo")
    return Path.home() / ".local/state/belay/demo"


def state_dir(variables: Mapping[str, str] = os.environ) -> Path:
    """The state directory. Raises ConfigurationError for a relative path."""
    given = variables.get("BELAY_STATE_DIR", "").strip()
    if not given:
        return default_state_dir()
    path = Path(given)
    if not path.is_absolute():
        raise ConfigurationError(
            f"BELAY_STATE_DIR is {given!r}: give an absolute path, such as /var/lib/belay/demo"
        )
    return path


def read_env(variables: Mapping[str, str] = os.environ) -> Env:
    """Read and check everything. Raises ConfigurationError at the first thing that is wrong."""
    directory = state_dir(variables)
    known = dict(variables)
    if not known.get("DATABASE_URL") and not bare(variables):
        known = read_stack_env(directory) | known
    return Env(
        state_dir=directory,
        database=_database(known),
        redis_url=_redis_url(known),
        secret_key=_secret_key(known),
        qa_credentials_keys=_fernet_keys(known, "BELAY_QA_CREDENTIALS_KEY", required=True),
        production_credentials_keys=_fernet_keys(
            known, "BELAY_PRODUCTION_CREDENTIALS_KEY", required=False
        ),
        allowed_hosts=_list(known, "BELAY_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]"),
        public_url=_public_url(known),
        debug=_bool(known, "BELAY_DEBUG"),
        embedded=_bool(known, "BELAY_EMBEDDED"),
        probe_allow_loopback=_bool(known, "BELAY_PROBE_ALLOW_LOOPBACK"),
        log_format=_choice(known, "BELAY_LOG_FORMAT", ("console", "json")),
        log_level=_choice(known, "BELAY_LOG_LEVEL", ("INFO", "DEBUG", "WARNING", "ERROR")),
        db_deadline_s=_seconds(known, "BELAY_DB_DEADLINE_S"),
        qa_range=known.get("BELAY_RANGE", "demo"),
        rehearsal_hours=_whole(known, "BELAY_REHEARSAL_HOURS", "hours", 1, 168, default=24),
        observe_min_s=_whole(known, "BELAY_OBSERVE_MIN_S", "seconds", 10, 300, default=20),
    )


def read_stack_env(directory: Path) -> dict[str, str]:
    """What the embedded stack wrote beside its data; empty where there is none."""
    path = directory / STACK_ENV
    try:
        text = path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError as error:
        raise ConfigurationError(
            f"{path} cannot be read by this user: use the user that started the demo, "
            "or set DATABASE_URL"
        ) from error
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return dict(pairs)


def bare(variables: Mapping[str, str] = os.environ) -> bool:
    """True for commands that run before any database exists (`demo`, `range`, …)."""
    return variables.get("BELAY_BARE") == "1"


def _missing(name: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name} is not set: {what}, or start the embedded stack with `make demo`"
    )


def _database(known: Mapping[str, str]) -> dict[str, Any]:
    url = known.get("DATABASE_URL", "").strip()
    if not url:
        if bare(known):
            return {"ENGINE": "django.db.backends.dummy"}
        raise _missing("DATABASE_URL", "give postgres://user:password@host:5432/name")
    try:
        database: dict[str, Any] = dict(environ.Env.db_url_config(url))
    except (ValueError, ImproperlyConfigured) as error:
        raise ConfigurationError(
            "DATABASE_URL cannot be parsed (its value is not shown, it may hold a password): "
            "give postgres://user:password@host:5432/name"
        ) from error
    if "postgresql" not in str(database.get("ENGINE", "")):
        raise ConfigurationError(
            f"DATABASE_URL names {urlsplit(url).scheme!r}: Belay keeps its invariants in "
            "PostgreSQL only; give postgres://user:password@host:5432/name"
        )
    # libpq's way to name a socket's folder in a URL: postgres://user@%2Fvar%2Frun/name
    database["HOST"] = unquote(str(database.get("HOST", "")))
    return database


def _redis_url(known: Mapping[str, str]) -> str:
    url = known.get("REDIS_URL", "").strip()
    if not url:
        if bare(known):
            return "memory://"
        raise _missing("REDIS_URL", "give redis://host:6379/0")
    scheme = urlsplit(url).scheme
    if scheme not in {"redis", "rediss", "redis+socket"}:
        raise ConfigurationError(
            f"REDIS_URL begins with {scheme!r}: give redis://, rediss:// or redis+socket://"
        )
    return url


def _secret_key(known: Mapping[str, str]) -> str:
    key = known.get("BELAY_SECRET_KEY", "")
    if key:
        if len(key) < SECRET_KEY_LENGTH_MIN:
            raise ConfigurationError(
                f"BELAY_SECRET_KEY has {len(key)} characters: give at least "
                f"{SECRET_KEY_LENGTH_MIN} random ones (`openssl rand -base64 48`)"
            )
        return key
    if bare(known):
        return secrets.token_urlsafe(BARE_SECRET_KEY_LENGTH)
    raise _missing("BELAY_SECRET_KEY", "give 50 random characters (`openssl rand -base64 48`)")


def _fernet_keys(known: Mapping[str, str], name: str, *, required: bool) -> list[str]:
    """Keys, newest first: the first encrypts, all of them decrypt (rotation)."""
    keys = [key.strip() for key in known.get(name, "").split(",") if key.strip()]
    if not keys and required and not bare(known):
        raise _missing(name, "give a key of `openssl rand -base64 32 | tr +/ -_`")
    for position, key in enumerate(keys, start=1):
        try:
            length = len(base64.urlsafe_b64decode(key))
        except (binascii.Error, ValueError):
            length = 0
        if length != 32:
            raise ConfigurationError(
                f"{name}: key {position} of {len(keys)} is not 32 bytes in URL-safe base64: "
                "make one with `openssl rand -base64 32 | tr +/ -_`"
            )
    return keys


def _public_url(known: Mapping[str, str]) -> str:
    url = known.get("BELAY_PUBLIC_URL", "").strip() or "http://127.0.0.1:8300"
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
        raise ConfigurationError(
            f"BELAY_PUBLIC_URL is {url!r}: give the address that people open, "
            "such as https://belay.example.com, without a path"
        )
    if (
        parts.scheme == "http"
        and not _is_loopback(parts.hostname)
        and not _bool(known, "BELAY_ALLOW_HTTP")
    ):
        raise ConfigurationError(
            f"BELAY_PUBLIC_URL is {url!r}: passwords would cross the network in the clear; "
            "give an https:// address, or set BELAY_ALLOW_HTTP=1 if you mean it"
        )
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bool(known: Mapping[str, str], name: str) -> bool:
    value = known.get(name, "").strip().lower()
    if value in {"", "0", "no", "false"}:
        return False
    if value in {"1", "yes", "true"}:
        return True
    raise ConfigurationError(f"{name} is {value!r}: give 1 or 0")


def _choice(known: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """One of `choices`; the first is the default."""
    value = known.get(name, "").strip() or choices[0]
    if value not in choices:
        raise ConfigurationError(f"{name} is {value!r}: give one of {', '.join(choices)}")
    return value


def _list(known: Mapping[str, str], name: str, default: str) -> list[str]:
    return [item.strip() for item in (known.get(name) or default).split(",") if item.strip()]


def _seconds(known: Mapping[str, str], name: str) -> float | None:
    value = known.get(name, "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0.5 <= seconds <= 300:
        raise ConfigurationError(f"{name} is {value!r}: give seconds between 0.5 and 300")
    return seconds


def _whole(
    known: Mapping[str, str], name: str, unit: str, least: int, most: int, *, default: int
) -> int:
    value = known.get(name, "").strip()
    if not value:
        return default
    if not value.isascii() or not value.isdecimal() or not least <= int(value) <= most:
        raise ConfigurationError(
            f"{name} is {value!r}: give whole {unit} between {least} and {most}"
        )
    return int(value)
