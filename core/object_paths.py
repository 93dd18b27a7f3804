"""A path to one field of a Kubernetes object, in the part of kubectl's JSONPath that names one.

`status.readyReplicas`, `status.conditions[?(@.type=="Ready")].status` (or shorter,
`status.conditions[type=Ready].status`), `spec.containers[0].image`,
`metadata.labels["app.kubernetes.io/name"]`; in braces and with a leading dot or without.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_INDEX = re.compile(r"\[(\d{1,4})\]")
_QUOTED = re.compile(r"""\[(?:"([^"\]]+)"|'([^'\]]+)')\]""")
_WHERE = re.compile(
    r"""\[(?:\?\(\s*@\.)?([A-Za-z][A-Za-z0-9]*)\s*={1,2}\s*["']?([^"'\]()]+?)["']?\s*\)?\]"""
)
PRIVATE = frozenset(
    {"annotations", "args", "command", "data", "binarydata", "stringdata", "env", "envfrom",
     "managedfields", "exec"}
)  # fmt: skip
"""Fields in which passwords are found in practice; what is seen stands on pages and in samples."""


@dataclass(frozen=True)
class Name:
    name: str


@dataclass(frozen=True)
class Index:
    index: int


@dataclass(frozen=True)
class Where:
    """The one item of a list whose field has that value."""

    key: str
    value: str


Segment = Name | Index | Where


class AbsentError(LookupError):
    """The object has no such field."""


def parse(text: str) -> tuple[Segment, ...]:
    """The segments; ValueError says at which character it is not understood, or what is private."""
    rest = text.strip()
    if rest.startswith("{") and rest.endswith("}"):
        rest = rest[1:-1].strip()
    rest = rest.removeprefix("$")
    segments: list[Segment] = []
    while rest:
        segment, rest = _next(rest, first=not segments, whole=text)
        segments.append(segment)
    if not segments:
        raise ValueError("name a field, like status.readyReplicas.")
    for segment in segments:
        if isinstance(segment, Name) and segment.name.lower() in PRIVATE:
            raise ValueError(
                f"{segment.name!r} often holds passwords, and what a probe sees is shown; choose "
                "a field of the status instead."
            )
    return tuple(segments)


def find(document: Any, segments: tuple[Segment, ...]) -> Any:
    """What stands there. Raises AbsentError where the path ends early."""
    here = document
    for segment in segments:
        here = _step(here, segment)
    return here


def _next(rest: str, *, first: bool, whole: str) -> tuple[Segment, str]:
    if rest.startswith("["):
        if match := _INDEX.match(rest):
            return Index(int(match[1])), rest[match.end() :]
        if match := _QUOTED.match(rest):
            return Name(match[1] or match[2]), rest[match.end() :]
        if match := _WHERE.match(rest):
            return Where(match[1], match[2]), rest[match.end() :]
    else:
        name = rest.removeprefix(".")
        if (first or name != rest) and (match := _NAME.match(name)):
            return Name(match[0]), name[match.end() :]
    at = len(whole) - len(rest) + 1
    raise ValueError(
        f"{whole!r} is not understood from character {at} on ({rest[:12]!r}). Write it like "
        "status.conditions[type=Ready].status."
    )


def _step(here: Any, segment: Segment) -> Any:
    if isinstance(segment, Name):
        if isinstance(here, dict) and segment.name in here:
            return here[segment.name]
    elif isinstance(here, list):
        if isinstance(segment, Index):
            if segment.index < len(here):
                return here[segment.index]
        else:
            for item in here:
                if isinstance(item, dict) and str(item.get(segment.key)) == segment.value:
                    return item
    raise AbsentError(str(segment))
