"""Credentials at rest: encrypted with a key that is not in the database.

The keys come from the environment (Fernet keys, newest first, so that a key can be rotated).
`BELAY_QA_CREDENTIALS_KEY` is for QA clusters. Credentials of production clusters use another one,
`BELAY_PRODUCTION_CREDENTIALS_KEY`, so that the fault engine, which does not hold it, can read none.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from core.choices import Stage
from core.errors import DomainError

if TYPE_CHECKING:
    from collections.abc import Sequence


@cache
def _cipher(keys: Sequence[str]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(text: str, *, stage: str = Stage.QA) -> str:
    """Encrypt `text` with the stage's newest key; `DomainError` when this process holds none."""
    return _cipher(_keys(stage)).encrypt(text.encode()).decode()


def decrypt(token: str, *, stage: str = Stage.QA) -> str:
    """Decrypt what `encrypt` gave; `DomainError` when no key of the stage fits."""
    try:
        return _cipher(_keys(stage)).decrypt(token.encode()).decode()
    except InvalidToken:
        raise DomainError(
            f"A stored credential cannot be read with any key in {_variable(stage)}. "
            "Put the key that it was stored with back into the list, or register it again.",
            code="credential_key_missing",
        ) from None


def _keys(stage: str) -> tuple[str, ...]:
    production = stage == Stage.PRODUCTION
    keys = (
        settings.BELAY_PRODUCTION_CREDENTIALS_KEYS
        if production
        else settings.BELAY_QA_CREDENTIALS_KEYS
    )
    if not keys:
        raise DomainError(
            f"{_variable(stage)} is not set in this process, and so credentials of {stage} "
            "clusters can be neither stored nor read here. Set it where they are needed.",
            code="credential_key_missing",
        )
    return tuple(keys)


def _variable(stage: str) -> str:
    return f"BELAY_{stage.upper()}_CREDENTIALS_KEY"
