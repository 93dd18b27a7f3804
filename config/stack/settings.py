"""What the embedded stack reads from the environment before Django's settings exist."""

from __future__ import annotations

import os

from config.stack.errors import StackError
from config.stack.layout import DEFAULT_PORT
from practice.plan import check_name
from practice.system import RangeError


def port() -> int:
    """BELAY_PORT. Raises StackError for anything that is no port."""
    value = os.environ.get("BELAY_PORT", "").strip() or str(DEFAULT_PORT)
    if not value.isdigit() or not 1 <= int(value) <= 65535:
        raise StackError(f"BELAY_PORT is {value!r}: give a number from 1 to 65535.")
    return int(value)


def range_name() -> str:
    """BELAY_RANGE. Raises StackError for a name that cannot be part of a link's name."""
    value = os.environ.get("BELAY_RANGE", "").strip() or "demo"
    try:
        return check_name(value)
    except RangeError as error:
        raise StackError(f"BELAY_RANGE: {error}.") from error
