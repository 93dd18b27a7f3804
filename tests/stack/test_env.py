"""Configuration fails loudly: the variable, its value, and what to do."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from config.env import ConfigurationError, read_env

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
"""Always the same: it is part of a test's name, and two processes must agree on names."""


def variables(tmp_path: Path, **changed: str) -> dict[str, str]:
    """A complete environment, with some variables changed; an empty one counts as not set."""
    return {
        "BELAY_STATE_DIR": str(tmp_path),
        "DATABASE_URL": "postgres://belay:s3cret@db.example:5433/belay",
        "REDIS_URL": "redis://broker.example:6379/0",
        "BELAY_SECRET_KEY": "x" * 50,
        "BELAY_QA_CREDENTIALS_KEY": KEY,
    } | changed


def test_a_complete_environment_is_read(tmp_path: Path) -> None:
    env = read_env(variables(tmp_path))
    assert env.database["HOST"] == "db.example"
    assert env.database["PORT"] == 5433
    assert env.qa_credentials_keys == [KEY]
    assert env.production_credentials_keys == []
    assert env.embedded is False
    assert env.db_deadline_s is None


def test_a_socket_folder_in_the_database_url_is_a_host(tmp_path: Path) -> None:
    env = read_env(variables(tmp_path, DATABASE_URL="postgres://belay:p@%2Frun%2Fbelay/belay"))
    assert env.database["HOST"] == "/run/belay"
    assert env.database["NAME"] == "belay"


def test_keys_can_be_rotated(tmp_path: Path) -> None:
    newer = Fernet.generate_key().decode()
    env = read_env(variables(tmp_path, BELAY_QA_CREDENTIALS_KEY=f"{newer}, {KEY}"))
    assert env.qa_credentials_keys == [newer, KEY]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DATABASE_URL", "", "DATABASE_URL is not set: give postgres://"),
        ("DATABASE_URL", "sqlite:////tmp/x", "DATABASE_URL names 'sqlite'"),
        ("REDIS_URL", "", "REDIS_URL is not set: give redis://"),
        ("REDIS_URL", "amqp://x", "REDIS_URL begins with 'amqp'"),
        ("BELAY_SECRET_KEY", "", "BELAY_SECRET_KEY is not set"),
        ("BELAY_SECRET_KEY", "short", "BELAY_SECRET_KEY has 5 characters"),
        ("BELAY_QA_CREDENTIALS_KEY", "", "BELAY_QA_CREDENTIALS_KEY is not set"),
        ("BELAY_QA_CREDENTIALS_KEY", f"{KEY},abc", "key 2 of 2 is not 32 bytes"),
        ("BELAY_PRODUCTION_CREDENTIALS_KEY", "abc", "BELAY_PRODUCTION_CREDENTIALS_KEY: key 1"),
        ("BELAY_PUBLIC_URL", "belay.example", "BELAY_PUBLIC_URL is 'belay.example'"),
        ("BELAY_PUBLIC_URL", "http://belay.example", "passwords would cross the network"),
        ("BELAY_DEBUG", "perhaps", "BELAY_DEBUG is 'perhaps': give 1 or 0"),
        ("BELAY_LOG_FORMAT", "xml", "BELAY_LOG_FORMAT is 'xml': give one of console, json"),
        ("BELAY_DB_DEADLINE_S", "soon", "BELAY_DB_DEADLINE_S is 'soon'"),
        ("BELAY_DB_DEADLINE_S", "0", "give seconds between 0.5 and 300"),
        ("BELAY_REHEARSAL_HOURS", "0", "BELAY_REHEARSAL_HOURS is '0': give whole hours between 1"),
        ("BELAY_OBSERVE_MIN_S", "9", "is '9': give whole seconds between 10 and 300"),
        ("BELAY_STATE_DIR", "demo", "BELAY_STATE_DIR is 'demo': give an absolute path"),
    ],
)
def test_what_is_missing_or_wrong_is_said_with_its_value(
    tmp_path: Path, name: str, value: str, sentence: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_env(variables(tmp_path, **{name: value}))
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_env(variables(tmp_path, DATABASE_URL="mysql://root:hunter2@db/x"))
    assert "hunter2" not in str(refused.value)


def test_the_embedded_stack_is_found_from_a_shell(tmp_path: Path) -> None:
    lines = [f"{name}={value}" for name, value in variables(tmp_path, BELAY_EMBEDDED="1").items()]
    (tmp_path / "stack.env").write_text("\n".join(lines) + "\n")
    env = read_env({"BELAY_STATE_DIR": str(tmp_path), "BELAY_LOG_FORMAT": "json"})
    assert env.database["HOST"] == "db.example"
    assert env.embedded is True
    assert env.log_format == "json"


def test_a_real_database_url_wins_over_the_embedded_stack(tmp_path: Path) -> None:
    (tmp_path / "stack.env").write_text("DATABASE_URL=postgres://belay@embedded/belay\n")
    assert read_env(variables(tmp_path)).database["HOST"] == "db.example"


def test_commands_that_make_the_stack_need_none(tmp_path: Path) -> None:
    env = read_env({"BELAY_BARE": "1", "BELAY_STATE_DIR": str(tmp_path)})
    assert env.database == {"ENGINE": "django.db.backends.dummy"}
