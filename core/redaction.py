"""Hides what could be a secret before it is written down: in timelines, samples, recipes, logs.

By name, where a value has one (`password`, `token`, …), and by shape, wherever it stands (a
private key, a bearer token, a password in a URL). Too much hidden is a nuisance; too little is a
leak. What the database could not store at all is replaced on the same way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[hidden]"
NAMES = re.compile(
    r"password|passwd|passphrase|secret|token|authorization|cookie|private|credential|kubeconfig"
    r"|api.?key|access.?key|(?:^|_)key_pem$|ca_key|dockerconfig",
    re.IGNORECASE,
)
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        HIDDEN,
    ),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]+@"), rf"\1:{HIDDEN}@"),
    (
        re.compile(
            r"(?i)((?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key)[\"']?"
            r"\s*[=:]\s*[\"']?)[^\s\"'&,;]{3,}"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), HIDDEN),
    (
        re.compile(r"\bgh[pousr]_[0-9A-Za-z]{20,}\b|\bglpat-[\w-]{16,}\b|\bxox[abprs]-[\w-]{10,}"),
        HIDDEN,
    ),
)


def redact(value: Any) -> Any:
    """The same value with secrets hidden, by name and by shape, as deep as it goes."""
    if isinstance(value, Mapping):
        return {name: _named(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return redact_shapes(value)


def redact_shapes(value: Any) -> Any:
    """By shape alone: for text that has no name, and for data that something acts on later, whose
    names are the names of nodes and objects."""
    if isinstance(value, str):
        return _hidden(value) if value else value
    if isinstance(value, Mapping):
        return {name: redact_shapes(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact_shapes(item) for item in value]
    return value


def redact_text(text: str) -> str:
    """One text, by shape."""
    return _hidden(text)


def _hidden(text: str) -> str:
    text = _storable(text)
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    return text


def _storable(text: str) -> str:
    """PostgreSQL takes neither NUL nor half a surrogate pair, in a text or in JSON. Both come in
    answers of others, and one of them must not keep a whole row, or who writes it, from going on.
    """
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _named(name: str, value: Any) -> Any:
    """A secret's name hides what could be one: a number or a yes and no gives nothing away."""
    could_be = isinstance(value, str | Mapping | list | tuple)
    if could_be and value and NAMES.search(name):
        return HIDDEN
    return redact(value)
