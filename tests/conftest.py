"""Plumbing that every test can use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from config.stack.binaries import copy_binaries
from tests.settings import POSTGRES, TEST_DIR

pytest_plugins: list[str] = []


@pytest.fixture(scope="session")
def postgres() -> Iterator[None]:
    """An embedded PostgreSQL for this session, started when the first test needs one."""
    TEST_DIR.mkdir(mode=0o711)
    log = TEST_DIR / "postgres.log"
    try:
        copy_binaries(POSTGRES.binaries)
        POSTGRES.prepare()
        server = POSTGRES.start(log)
        try:
            POSTGRES.await_ready(timeout_s=30, log=log)
            yield
        finally:
            server.terminate()
            server.wait(timeout=30)
    finally:
        shutil.rmtree(TEST_DIR)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres: None) -> None:
    """pytest-django asks for this before it makes the test database."""
