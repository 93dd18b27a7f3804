"""Credentials at rest: encrypted with a key that is not in the database.

The keys come from the environment (`BELAY_QA_CREDENTIALS_KEY`, Fernet keys, newest first, so
that a key can be rotated). Credentials of production clusters use another key, which only the
worker that runs migration steps holds.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from core.errors import DomainError

if TYPE_CHECKING:
    from collections.abc import Sequence


@cache
def _cipher(keys: Sequence[str]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(text: str) -> str:
    """Encrypt `text` with the newest key."""
    return _cipher(tuple(settings.BELAY_QA_CREDENTIALS_KEYS)).encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    """Decrypt what `encrypt` gave; `DomainError` when no known key fits."""
    try:
        return _cipher(tuple(settings.BELAY_QA_CREDENTIALS_KEYS)).decrypt(token.encode()).decode()
    except InvalidToken:
        raise DomainError(
            "A stored credential cannot be read with any key in BELAY_QA_CREDENTIALS_KEY. "
            "Put the key that it was stored with back into the list, or register it again.",
            code="credential_key_missing",
        ) from None
