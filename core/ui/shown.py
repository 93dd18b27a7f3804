"""A typed field on a page: what was typed, and what is wrong with it (`parts/field.html`)."""

from __future__ import annotations

from dataclasses import dataclass

from core.fields import Field


@dataclass
class Shown:
    """A field with what was typed and what is wrong with it. `name` is the input's."""

    field: Field
    name: str
    value: str
    error: str = ""
