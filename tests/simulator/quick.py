"""What the standard library does slowly and the simulator does thousands of times a second.

Each stands in for one function of the same name, with the same answers: types are looked at once.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Callable
from enum import Enum
from types import SimpleNamespace
from typing import Any

_ATOMS = (str, int, float, bool, type(None), bytes, Enum)


@functools.cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


_kind_of: Callable[[Any], Any] = type


def asdict(message: Any) -> Any:
    """`dataclasses.asdict` for messages: dataclasses, lists, dictionaries and what JSON has."""
    if isinstance(message, _ATOMS):
        return message
    if isinstance(message, (list, tuple)):
        return type(message)(asdict(item) for item in message)
    if isinstance(message, dict):
        return {key: asdict(value) for key, value in message.items()}
    return {name: asdict(getattr(message, name)) for name in _names(_kind_of(message))}


_typing: Any = SimpleNamespace(
    **{
        **vars(typing),
        "get_type_hints": functools.cache(typing.get_type_hints),
        "get_origin": functools.cache(typing.get_origin),
        "get_args": functools.cache(typing.get_args),
    }
)
_dataclasses: Any = SimpleNamespace(
    **{
        **vars(dataclasses),
        "asdict": asdict,
        "fields": functools.cache(dataclasses.fields),
        "is_dataclass": lambda thing: hasattr(
            thing if isinstance(thing, type) else type(thing), "__dataclass_fields__"
        ),
    }
)
PATCHES: tuple[tuple[str, Any], ...] = (
    ("guard.codec.typing", _typing),
    ("guard.codec.dataclasses", _dataclasses),
)
