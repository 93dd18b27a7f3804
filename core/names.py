"""Names that look like production are refused: default-deny, not cleverness."""

from __future__ import annotations

import re

from core.errors import ClusterRefused

_PRODUCTION_WORDS = ("prod", "live", "prd", "production")


def refuse_production_name(name: str) -> None:
    """Refuse names with a word that people use for production.

    Raises:
        ClusterRefused: `looks_like_production`, with the word.
    """
    for word in re.split(r"[^a-z0-9]+", name.lower()):
        if word.rstrip("0123456789") in _PRODUCTION_WORDS:
            raise ClusterRefused(
                f"{name!r} looks like production ({word!r}). Faults are for QA clusters only; "
                "if this is one, give it another name.",
                code="looks_like_production",
                field="name",
            )
