"""Dataclasses to JSON and back, with every deviation named by its field."""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import StrEnum
from typing import Any

Json = dict[str, Any]
_T = typing.TypeVar("_T")


class MalformedError(ValueError):
    """A message that has not the shape of its type; the text names the field."""


def to_json(message: object) -> Json:
    """The JSON object of a message (enums become their words)."""
    assert dataclasses.is_dataclass(message)
    assert not isinstance(message, type)
    return dataclasses.asdict(message)


def compact(data: Any) -> Any:
    """The same JSON without what is absent: null, an empty list, an empty text.

    A field that a later version adds is absent in what an earlier one wrote. So this form, and
    its hash, stay the same for an order of an earlier version; and a request that uses nothing
    new is understood by an earlier guard.
    """
    if isinstance(data, dict):
        kept = {key: compact(value) for key, value in data.items()}
        return {key: value for key, value in kept.items() if value not in (None, [], "")}
    if isinstance(data, list):
        return [compact(item) for item in data]
    return data


def from_json(kind: type[_T], data: object, *, where: str = "", strict: bool = True) -> _T:
    """Build a message from decoded JSON; raise `MalformedError` naming the offending field.

    `strict` refuses unknown fields (requests). Answers are read with `strict=False`, so that an
    older Belay can still read, and undo on, a newer guard.
    """
    if not isinstance(data, dict):
        raise MalformedError(f"{where or kind.__name__}: an object is needed, not {_word(data)}")
    hints = typing.get_type_hints(kind)
    values: Json = {}
    for item in dataclasses.fields(kind):  # type: ignore[arg-type]
        path = f"{where}.{item.name}" if where else item.name
        if item.name in data:
            values[item.name] = _value(hints[item.name], data[item.name], path, strict)
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise MalformedError(f"{path}: missing")
    unknown = sorted(set(data) - set(hints))
    if strict and unknown:
        raise MalformedError(f"{where or kind.__name__}: unknown field {unknown[0]!r}")
    return kind(**values)


def _value(hint: Any, value: object, path: str, strict: bool) -> Any:
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        [inner] = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        return _value(inner, value, path, strict)
    if origin is list:
        if not isinstance(value, list):
            raise MalformedError(f"{path}: a list is needed, not {_word(value)}")
        [inner] = typing.get_args(hint)
        return [_value(inner, item, f"{path}[{i}]", strict) for i, item in enumerate(value)]
    if dataclasses.is_dataclass(hint):
        return from_json(typing.cast("type[Any]", hint), value, where=path, strict=strict)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        try:
            return hint(typing.cast("str", value))
        except ValueError:
            words = ", ".join(hint)
            raise MalformedError(f"{path}: {value!r} is none of {words}") from None
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise MalformedError(f"{path}: {hint.__name__} is needed, not {_word(value)}")
    return value


def _word(value: object) -> str:
    return "null" if value is None else type(value).__name__
