"""Settings of the tests: the product's own, on a PostgreSQL that lives as long as the session.

The environment is set here and not in a fixture, because pytest-django (and mypy's Django
plugin) read the settings before any fixture runs. The server itself is started only when a
first test asks for the database (tests/conftest.py).
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet

from config.stack.account import service_account
from config.stack.postgres import Postgres

for _name in [name for name in os.environ if name.startswith("BELAY_") and name != "BELAY_BARE"]:
    if not _name.startswith(("BELAY_TEST", "BELAY_CACHE", "BELAY_RANGES")):
        del os.environ[_name]

TEST_DIR = Path("/tmp") / f"belay-test-{os.getpid()}"
POSTGRES = Postgres(
    binaries=TEST_DIR / "binaries",
    data=TEST_DIR / "postgres",
    socket_dir=TEST_DIR / "run",
    account=service_account(),
    password=secrets.token_urlsafe(24),
    durable=False,
)
os.environ |= {
    "BELAY_STATE_DIR": str(TEST_DIR),
    "DATABASE_URL": POSTGRES.url,
    "REDIS_URL": f"redis+socket://{TEST_DIR}/no-redis.sock",
    "BELAY_SECRET_KEY": secrets.token_urlsafe(48),
    "BELAY_QA_CREDENTIALS_KEY": Fernet.generate_key().decode(),
    "BELAY_EMBEDDED": "1",
}
os.environ.pop("BELAY_BARE", None)

from config.settings import *  # noqa: E402, F403

ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CELERY_TASK_ALWAYS_EAGER = False
