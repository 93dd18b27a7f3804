"""What a service is told as: each field reads back what it writes, and refuses in a sentence."""

from __future__ import annotations

import pytest

from core.errors import Invalid
from migrator.service_fields import BY_NAME, EMPTY, clean_service, in_text


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("name", "  Shop   front ", "Shop front"),
        ("tier", " 2 ", 2),
        ("description", "a\r\nb\r", "a\nb"),
        ("tags", "Web, PCI;web\norders", ["orders", "pci", "web"]),
        ("legacy_hosts", "hh-1, 10.0.0.2 [::1] db:5432", ["hh-1", "10.0.0.2", "[::1]", "db:5432"]),
        ("legacy_address", "hh-1.example:8080", "hh-1.example:8080"),
        ("legacy_address", "https://hh-1.example/shop", "https://hh-1.example/shop"),
        ("legacy_capacity", "1 200", 1200),
        ("legacy_capacity", "", None),
        (
            "links",
            "Run book https://a.example/x;y; Board http://b.example",
            [("Run book", "https://a.example/x;y"), ("Board", "http://b.example")],
        ),
        ("links", "A https://a.example\r\nB https://b.example", [
            ("A", "https://a.example"), ("B", "https://b.example"),
        ]),
        ("workload_kind", "StatefulSet", "StatefulSet"),
        ("namespace", "shop-2", "shop-2"),
    ],
)  # fmt: skip
def test_a_text_is_read_and_what_is_written_reads_the_same(
    name: str, text: str, value: object
) -> None:
    found = BY_NAME[name].read(text)
    assert found == value
    assert BY_NAME[name].read(in_text(name, found)) == found


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("name", "", "needs a name"),
        ("name", "a;b", "semicolon"),
        ("name", "a\nb", "one line"),
        ("name", "x" * 81, "80 characters"),
        ("name", "a\x00b", "plain text"),
        ("name", "a\u2028b", "plain text"),
        ("tier", "4", "'4' is no tier"),
        ("tier", "²", "no tier"),
        ("description", "a\x1bb", "control"),
        ("description", "x" * 4001, "4000"),
        ("tags", "ok Ä", "'ä' is no tag"),
        ("tags", " ".join(f"t{n}" for n in range(21)), "20 tags"),
        ("legacy_hosts", "a/b", "'a/b' is no host"),
        ("legacy_address", "ftp://x", "http:// or https://"),
        ("legacy_address", "host:99999", "host:port"),
        ("legacy_address", "https://lea:secret@x", "leave it out"),
        ("legacy_address", "http://[", "no address"),
        ("legacy_capacity", "-5", "whole number"),
        ("legacy_capacity", "0", "from 1 on"),
        ("legacy_capacity", "9" * 30, "no capacity"),
        ("links", "https://a.example", "in front of it"),
        ("links", "Run javascript:alert(1)", "http:// or https://"),
        ("links", "Run data:text/html,x", "http:// or https://"),
        ("links", "\n".join("A https://a.example" for _ in range(21)), "20 links"),
        ("workload_kind", "Job", "none of Deployment"),
        ("namespace", "Shop", "namespace"),
        ("namespace", "../secrets", "namespace"),
        ("route", "a b", "HTTPProxy"),
    ],
)
def test_what_is_wrong_is_said(name: str, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        BY_NAME[name].read(text)


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        clean_service({"name": "", "tier": "9", "legacy_capacity": "7", "workload": "shop"})
    assert set(refused.value.errors) == {
        "name", "tier", "legacy_capacity_unit", "workload_kind", "namespace",
    }  # fmt: skip
    assert refused.value.code == "service_invalid"


def test_a_name_is_enough() -> None:
    assert clean_service({"name": "Shop"}) == {**EMPTY, "name": "Shop"}


def test_halves_that_do_not_fit_are_told() -> None:
    for given, field in (
        ({"legacy_capacity_unit": "requests/s"}, "legacy_capacity"),
        ({"workload_kind": "Deployment"}, "workload"),
        ({"route": "shop"}, "namespace"),
    ):
        with pytest.raises(Invalid) as refused:
            clean_service({"name": "Shop", **given})
        assert set(refused.value.errors) == {field}
