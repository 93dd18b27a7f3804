"""One look at one thing after the undo: passed, not passed, or unknown."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Check:
    name: str
    passed: bool | None
    """None: could not look."""
    sentence: str

    def as_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
