"""What the embedded stack reads from the environment before Django's settings exist."""

from __future__ import annotations

import os
import re

from config.stack.errors import StackError
from config.stack.layout import DEFAULT_PORT

RANGE_NAME = re.compile(r"[a-z][a-z0-9-]{0,7}")


def port() -> int:
    """BELAY_PORT. Raises StackError for anything that is no port."""
    value = os.environ.get("BELAY_PORT", "").strip() or str(DEFAULT_PORT)
    if not value.isdigit() or not 1 <= int(value) <= 65535:
        raise StackError(f"BELAY_PORT is {value!r}: give a number from 1 to 65535.")
    return int(value)


def range_name() -> str:
    """BELAY_RANGE. Raises StackError for a name that cannot be part of a link's name."""
    value = os.environ.get("BELAY_RANGE", "").strip() or "demo"
    if not RANGE_NAME.fullmatch(value):
        raise StackError(
            f"BELAY_RANGE is {value!r}: give at most 8 lower-case letters, digits and hyphens."
        )
    return value
