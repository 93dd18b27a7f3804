"""What a service is told as: one text per field, read and written the same by form, CSV and API.

`read` refuses with a sentence, `write` gives the text back, and reading what was written gives the
same value again: an export that is imported changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from core.errors import Invalid
from migrator.choices import Tier, WorkloadKind
from migrator.models.service import HOSTS_MAX, TAGS_MAX

Value = str | int | None | list[str] | list[tuple[str, str]]
DESCRIPTION_MAX = 4000
LINKS_MAX = 20
CAPACITY_MAX = 2_147_483_647
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
_BREAK = re.compile(r"[\r\n\t]")
_TAG = re.compile(r"[a-z0-9][a-z0-9._:/-]{0,39}")
_HOST = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9_.:-]*[A-Za-z0-9_])?|\[?[0-9A-Fa-f:.]*::[0-9A-Fa-f:.]*\]?"
)
_ADDRESS = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
)
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class TextField:
    """One field as a person writes it."""

    name: str
    label: str
    read: Callable[[str], Value]
    """Text to value; ValueError says what is wrong with it, and what would do."""
    write: Callable[[Any], str] = str
    help: str = ""
    rows: int = 0
    """Lines of its input; 0 for a single line."""
    choices: tuple[tuple[str, str], ...] = ()
    required: bool = False


def _one_line(text: str, longest: int) -> str:
    text = text.strip()
    if _CONTROL.search(text) or _BREAK.search(text):
        raise ValueError("Write it in one line of plain text.")
    if len(text) > longest:
        raise ValueError(f"At most {longest} characters, not {len(text)}.")
    return text


def read_name(text: str) -> str:
    """A service's name. ValueError as `TextField.read`."""
    text = " ".join(_one_line(text, 80).split())
    if not text:
        raise ValueError("A service needs a name.")
    if ";" in text:
        raise ValueError("Leave out the semicolon: in a CSV it parts one name from the next.")
    return text


def _description(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if _CONTROL.search(text):
        raise ValueError("It holds control characters; paste it as plain text.")
    if len(text) > DESCRIPTION_MAX:
        raise ValueError(f"At most {DESCRIPTION_MAX} characters, not {len(text)}.")
    return text


def _tier(text: str) -> int:
    text = text.strip()
    if text not in {str(value) for value in Tier.values}:
        known = "; ".join(str(label) for label in Tier.labels)
        raise ValueError(f"{text!r} is no tier. Choose 1, 2 or 3 ({known}).")
    return int(text)


def _words(text: str) -> list[str]:
    return list(dict.fromkeys(word for word in re.split(r"[\s,;]+", text) if word))


def _tags(text: str) -> list[str]:
    tags = list(dict.fromkeys(word.lower() for word in _words(text)))
    for tag in tags:
        if not _TAG.fullmatch(tag):
            raise ValueError(
                f"{tag!r} is no tag: at most 40 of a-z, 0-9 and . _ : / -, beginning with a "
                "letter or digit."
            )
    if len(tags) > TAGS_MAX:
        raise ValueError(f"At most {TAGS_MAX} tags, not {len(tags)}.")
    return sorted(tags)


def _hosts(text: str) -> list[str]:
    hosts = _words(text)
    for host in hosts:
        if len(host) > 253 or not _HOST.fullmatch(host):
            raise ValueError(f"{host!r} is no host: give names or IP addresses, a space between.")
    if len(hosts) > HOSTS_MAX:
        raise ValueError(f"At most {HOSTS_MAX} hosts, not {len(hosts)}.")
    return hosts


def _address(text: str) -> str:
    text = _one_line(text, 255)
    if not text:
        return ""
    if "://" in text:
        _require_web(text)
        return text
    found = _ADDRESS.fullmatch(text)
    if not found or int(found["port"] or 1) not in range(1, 65536):
        raise ValueError(f"{text!r} is no address: give host, host:port, or an http(s) URL.")
    return text


def _require_web(url: str) -> None:
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
        parts = urlsplit("")
    if not known or not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r} is no address: it has to begin with http:// or https://.")
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "A name or password in an address would be shown to everybody who sees the service; "
            "leave it out."
        )


def _capacity(text: str) -> int | None:
    text = text.strip().replace(" ", "").replace("_", "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:12]) <= CAPACITY_MAX:
        raise ValueError(f"{text[:40]!r} is no capacity: give a whole number from 1 on.")
    return int(text)


def _links(text: str) -> list[tuple[str, str]]:
    """`Runbook https://…`, one to a line, or a semicolon and a space between."""
    links = []
    for item in re.split(r";\s+|\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        if not item.strip():
            continue
        *words, url = item.split()
        label = " ".join(words)
        _require_web(url)
        if len(url) > 500:
            raise ValueError(f"The address of a link has at most 500 characters, not {len(url)}.")
        if not label:
            raise ValueError(f"Say what {url} is, in front of it: Runbook {url}")
        if ";" in label or _CONTROL.search(label + url) or len(label) > 80:
            raise ValueError(
                f"{label[:80]!r} is no label of a link: at most 80 characters in one line, no "
                "semicolon."
            )
        links.append((label, url))
    if len(links) > LINKS_MAX:
        raise ValueError(f"At most {LINKS_MAX} links, not {len(links)}.")
    return links


def _kubernetes(pattern: re.Pattern[str], what: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        text = text.strip()
        if text and not pattern.fullmatch(text):
            raise ValueError(
                f"{text[:80]!r} is no name of a {what}: lower-case letters, digits and hyphens, "
                "as kubectl shows it."
            )
        return text

    return read


def _kind(text: str) -> str:
    text = text.strip()
    if text and text not in WorkloadKind.values:
        raise ValueError(f"{text[:40]!r} is none of {', '.join(WorkloadKind.values)}.")
    return text


def write_links(links: Sequence[tuple[str, str]], between: str = "; ") -> str:
    return between.join(f"{label} {url}" for label, url in links)


FIELDS: Final = (
    TextField(name="name", label="Name", read=read_name, required=True),
    TextField(
        name="tier",
        label="Tier",
        read=_tier,
        choices=tuple((str(value), str(label)) for value, label in Tier.choices),
    ),
    TextField(
        name="description",
        label="What it does",
        read=_description,
        rows=3,
        help="For somebody who meets it at night: what it does, and for whom.",
    ),
    TextField(
        name="links",
        label="Links",
        read=_links,
        write=write_links,
        rows=3,
        help="One to a line, what it is and then its address: Runbook https://wiki.example/shop",
    ),
    TextField(
        name="tags",
        label="Tags",
        read=_tags,
        write=" ".join,
        help="Short words with a space between.",
    ),
    TextField(
        name="legacy_hosts",
        label="Hosts",
        read=_hosts,
        write=" ".join,
        help="The machines that it runs on today, with a space between.",
    ),
    TextField(
        name="legacy_address",
        label="Address",
        read=_address,
        help="Where it answers today: host, host:port or a URL.",
    ),
    TextField(
        name="legacy_capacity",
        label="Capacity",
        read=_capacity,
        write=lambda value: "" if value is None else str(value),
        help="What the legacy half can carry alone, when all traffic comes back to it.",
    ),
    TextField(
        name="legacy_capacity_unit",
        label="Unit",
        read=lambda text: _one_line(text, 40),
        help="For example requests/s.",
    ),
    TextField(name="namespace", label="Namespace", read=_kubernetes(_DNS_LABEL, "namespace")),
    TextField(
        name="workload_kind",
        label="Kind of workload",
        read=_kind,
        choices=(("", "None yet"), *WorkloadKind.choices),
    ),
    TextField(name="workload", label="Workload", read=_kubernetes(_DNS_NAME, "workload")),
    TextField(
        name="route",
        label="Route",
        read=_kubernetes(_DNS_NAME, "HTTPProxy"),
        help="The HTTPProxy that carries both halves.",
    ),
)
BY_NAME: Final = {field.name: field for field in FIELDS}
EMPTY: Final[Mapping[str, Value]] = {
    "tier": Tier.THREE.value,
    "description": "",
    "links": [],
    "tags": [],
    "legacy_hosts": [],
    "legacy_address": "",
    "legacy_capacity": None,
    "legacy_capacity_unit": "",
    "namespace": "",
    "workload_kind": "",
    "workload": "",
    "route": "",
}
"""What a service has whose field nobody filled in."""


def read_all(given: Mapping[str, str]) -> tuple[dict[str, Value], dict[str, str]]:
    """The values of the given fields, and what is wrong with the others."""
    values: dict[str, Value] = {}
    errors: dict[str, str] = {}
    for name, text in given.items():
        if name not in BY_NAME:
            errors[name] = f"A service has no field {name!r}; it has {', '.join(BY_NAME)}."
            continue
        if name in EMPTY and not text.strip():
            values[name] = EMPTY[name]
            continue
        try:
            values[name] = BY_NAME[name].read(text)
        except ValueError as error:
            errors[name] = str(error)
    return values, errors


def wrong_together(values: Mapping[str, Value]) -> dict[str, str]:
    """What is right alone and wrong beside the others, by the field to change."""
    errors = {}
    if values.get("legacy_capacity") is not None and not values.get("legacy_capacity_unit"):
        errors["legacy_capacity_unit"] = "Say of what: requests/s, orders/min, connections."
    if values.get("legacy_capacity") is None and values.get("legacy_capacity_unit"):
        errors["legacy_capacity"] = "The unit needs its number; without one, empty both."
    if values.get("workload") and not values.get("workload_kind"):
        errors["workload_kind"] = "Say what kind of object the workload is."
    if values.get("workload_kind") and not values.get("workload"):
        errors["workload"] = "Name the workload, or choose no kind yet."
    if (values.get("workload") or values.get("route")) and not values.get("namespace"):
        errors["namespace"] = "Say in which namespace the workload and its route are."
    return errors


def clean_service(given: Mapping[str, str]) -> dict[str, Value]:
    """Every field of a whole service from its texts; fields that are missing are empty.

    Raises:
        Invalid: `service_invalid`, with a sentence for every wrong value at once.
    """
    values, errors = read_all({"name": "", **dict.fromkeys(EMPTY, ""), **given})
    errors = wrong_together(values) | errors
    if errors:
        first = next(iter(errors))
        raise Invalid(errors[first], code="service_invalid", field=first, errors=errors)
    return values


def in_text(name: str, value: Any) -> str:
    """A value as the text that reads back as it."""
    return BY_NAME[name].write(value)
