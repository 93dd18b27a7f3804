"""What a probe or a step of some kind has to be told: typed fields with bounds, each refusing in a
sentence.

Forms, the API and stored rows are cleaned by the same fields.
"""

from __future__ import annotations

import ipaddress
import math
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from core.errors import Invalid

Value = str | int | float
_HOST = re.compile(
    r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_A_LINE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True)
class Field:
    """One value that a person gives. `kind` says how it is read; `minimum` and `maximum` bound
    numbers, `longest` bounds text."""

    name: str
    label: str
    kind: Literal["text", "lines", "url", "host", "integer", "number", "choice", "pem"] = "text"
    default: str = ""
    required: bool = True
    minimum: float | None = None
    maximum: float | None = None
    longest: int = 300
    choices: tuple[tuple[str, str], ...] = ()
    unit: str = ""
    placeholder: str = ""
    help: str = ""
    check: Callable[[str], object] | None = None
    """A further look at a text; raises ValueError with a sentence."""

    def clean(self, given: object) -> Value:
        """The typed value; ValueError says what is wrong with it and what would do."""
        text = self.default if given is None else str(given).strip()
        if not text:
            if self.required:
                raise ValueError(f"{self.label}: this is needed.")
            return ""
        if len(text) > self.longest:
            raise ValueError(f"{self.label}: at most {self.longest} characters, not {len(text)}.")
        if self.kind not in ("pem", "lines") and _CONTROL.search(text):
            raise ValueError(f"{self.label}: one line of plain text, without control characters.")
        value = _READERS[self.kind](self, text)
        if self.check is not None:
            try:
                self.check(text)
            except ValueError as error:
                raise ValueError(f"{self.label}: {error}") from None
        return value


def clean_all(
    what: str, fields: tuple[Field, ...], given: dict[str, object], *, code: str = "probe_invalid"
) -> dict[str, Value]:
    """Every field's value, without the empty ones. `Invalid` lists every wrong one at once."""
    known = {field.name for field in fields}
    errors = {
        name: f"{what} has no setting {name!r}; it has {', '.join(sorted(known)) or 'none'}."
        for name in sorted(set(given) - known)
    }
    values: dict[str, Value] = {}
    for field in fields:
        try:
            value = field.clean(given.get(field.name))
        except ValueError as error:
            errors[field.name] = str(error)
        else:
            if value != "":
                values[field.name] = value
    if errors:
        first = next(iter(errors))
        raise Invalid(errors[first], code=code, field=first, errors=errors)
    return values


def is_host(text: str) -> bool:
    """An IP literal or a DNS name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        # Other spellings of an IPv4 address (`127.1`, `0x7f000001`, `2130706433`) are no names.
        last = text.rstrip(".").rpartition(".")[2]
        return bool(_HOST.fullmatch(text)) and not _NUMBER.fullmatch(last)
    return True


def require_base(text: str) -> None:
    """ValueError for an address to which a path cannot simply be added."""
    if "?" in text:
        raise ValueError("leave out the question mark and what follows; Belay adds the path.")


def _text(field: Field, text: str) -> str:
    return text


def _lines(field: Field, text: str) -> str:
    if _NOT_A_LINE.search(text):
        raise ValueError(f"{field.label}: plain text, without control characters.")
    return text.replace("\r\n", "\n")


def _url(field: Field, text: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"{field.label}: {text!r} is no address.") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{field.label}: {text!r} has to begin with http:// or https://.")
    if not parts.hostname or not is_host(parts.hostname) or port == 0:
        raise ValueError(
            f"{field.label}: {text!r} names no host that could be asked; give a name or an IP "
            "address, like https://shop.example/health."
        )
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            f"{field.label}: a name or password in the address would be shown to everybody who "
            "sees the cluster; leave it out."
        )
    if parts.fragment or " " in text or not text.isascii():
        raise ValueError(
            f"{field.label}: {text!r} holds a fragment, a space or letters beyond ASCII."
        )
    return text


def _host(field: Field, text: str) -> str:
    if not is_host(text.strip("[]")):
        raise ValueError(
            f"{field.label}: {text!r} is neither a name nor an IP address; leave out the port "
            "and http://."
        )
    return text.strip("[]")


def _integer(field: Field, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"{field.label}: {text!r} is no whole number.") from None
    _require_bounds(field, number)
    return number


def _number(field: Field, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{field.label}: {text!r} is no number.") from None
    if not math.isfinite(number):
        raise ValueError(f"{field.label}: {text!r} bounds nothing; give a finite number.")
    _require_bounds(field, number)
    return number


def _choice(field: Field, text: str) -> str:
    values = [value for value, _label in field.choices]
    if text not in values:
        raise ValueError(f"{field.label}: {text!r} is none of {', '.join(values)}.")
    return text


def _pem(field: Field, text: str) -> str:
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError):
        raise ValueError(
            f"{field.label}: this is no certificate; paste it whole, with BEGIN and END."
        ) from None
    return text


def _require_bounds(field: Field, number: float) -> None:
    low, high = field.minimum, field.maximum
    if (low is not None and number < low) or (high is not None and number > high):
        unit = field.unit if not field.unit or field.unit.startswith("%") else f" {field.unit}"
        bounds = (
            f"{low:g} to {high:g}"
            if low is not None and high is not None
            else (f"at least {low:g}" if low is not None else f"at most {high:g}")
        )
        raise ValueError(
            f"{field.label}: {number:g}{unit} is out of bounds; choose {bounds}{unit}."
        )


_READERS: dict[str, Callable[[Field, str], Value]] = {
    "text": _text,
    "lines": _lines,
    "url": _url,
    "host": _host,
    "integer": _integer,
    "number": _number,
    "choice": _choice,
    "pem": _pem,
}
