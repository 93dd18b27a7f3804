"""Comparing what was seen with what was wanted, and the words for it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass

Scalar = str | int | float | bool


@dataclass(frozen=True)
class Comparison:
    words: str
    """As it stands between what was seen and the bound."""
    holds: Callable[[float, float], bool]


NUMERIC: dict[str, Comparison] = {
    "at_least": Comparison("at least", operator.ge),
    "at_most": Comparison("at most", operator.le),
    "above": Comparison("above", operator.gt),
    "below": Comparison("below", operator.lt),
    "equals": Comparison("equal to", operator.eq),
    "differs": Comparison("other than", operator.ne),
}
NUMERIC_CHOICES = tuple((key, f"is {comparison.words}") for key, comparison in NUMERIC.items())


def as_number(value: Scalar) -> float | None:
    """A finite number, or None. A truth value is a word, not a number."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def holds(seen: Scalar, comparison: str, wanted: Scalar) -> bool | None:
    """Whether it holds; None when the two cannot be compared that way, like a word with a bound."""
    left, right = as_number(seen), as_number(wanted)
    if left is not None and right is not None:
        return NUMERIC[comparison].holds(left, right)
    if comparison in ("equals", "differs"):
        return (in_words(seen) == in_words(wanted)) == (comparison == "equals")
    return None


def in_words(value: Scalar) -> str:
    """As people and JSON write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)
