"""Specs are data: typed, bounded, and every wrong value is named at once."""

from __future__ import annotations

from typing import Any

import pytest

from core import object_paths as paths
from core.errors import Invalid
from gamedays.choices import ProbeKind
from gamedays.probes import comparisons
from gamedays.probes.registry import BY_HAND, KINDS, clean_parameters

DOCUMENT: dict[str, Any] = {
    "metadata": {"labels": {"app.kubernetes.io/name": "shop"}},
    "spec": {"containers": [{"name": "web", "image": "shop:2"}]},
    "status": {"ready": 2, "conditions": [{"type": "Ready", "status": "True"}]},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status.ready", 2),
        (".status.ready", 2),
        ("{.status.ready}", 2),
        ("$.status.ready", 2),
        ("spec.containers[0].image", "shop:2"),
        ("spec.containers[name=web].image", "shop:2"),
        ('status.conditions[?(@.type=="Ready")].status', "True"),
        ("status.conditions[type=Ready].status", "True"),
        ('metadata.labels["app.kubernetes.io/name"]', "shop"),
    ],
)
def test_a_path_finds_its_field(path: str, value: object) -> None:
    assert paths.find(DOCUMENT, paths.parse(path)) == value


@pytest.mark.parametrize(
    "path", ["status.no", "status.ready.more", "spec.containers[7].image", "spec.no[0]"]
)
def test_a_path_that_ends_early_is_absent(path: str) -> None:
    with pytest.raises(paths.AbsentError):
        paths.find(DOCUMENT, paths.parse(path))


@pytest.mark.parametrize(
    "path",
    ["", "..", "status..ready", "status.ready]", "status[*].x", "a b", "status.[0]", "status["],
)
def test_a_path_that_is_none_says_where(path: str) -> None:
    with pytest.raises(ValueError, match=r"status\."):
        paths.parse(path)


@pytest.mark.parametrize(
    "path",
    [
        "data.password",
        "spec.containers[0].env[name=TOKEN].value",
        "spec.template.spec.containers[0].args[0]",
        'metadata["annotations"]',
        "spec.containers[0].Command[0]",
    ],
)
def test_fields_in_which_passwords_are_found_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="often holds passwords"):
        paths.parse(path)


@pytest.mark.parametrize(
    ("seen", "comparison", "wanted", "answer"),
    [
        (2, "at_least", "2", True),
        ("2", "above", "2", False),
        (2, "equals", "2.0", True),
        (True, "equals", "true", True),
        (True, "at_least", "1", None),
        ("Ready", "differs", "Ready", False),
        ("Ready", "below", "3", None),
        ("nan", "equals", "nan", True),
    ],
)
def test_comparisons(seen: Any, comparison: str, wanted: str, answer: bool | None) -> None:
    assert comparisons.holds(seen, comparison, wanted) is answer


def errors_of(kind_: ProbeKind, **given: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        clean_parameters(kind_, given)
    assert refused.value.code == "probe_invalid"
    assert refused.value.field in refused.value.errors
    return refused.value.errors


def test_every_wrong_value_is_named_at_once() -> None:
    errors = errors_of(ProbeKind.HTTP, url="ftp://x", status="9999", host="a b", colour="red")
    assert set(errors) == {"url", "status", "host", "colour"}
    assert "'ftp://x'" in errors["url"]
    errors = errors_of(
        ProbeKind.KUBERNETES_FIELD, kind="Node", namespace="x", name="", path="a..b", value="many"
    )
    assert set(errors) == {"namespace", "name", "path", "value"}


@pytest.mark.parametrize(
    "url",
    [
        "shop.example",
        "file:///etc/passwd",
        "http://",
        "http://user:word@shop.example/",
        "http://shop.example:0/",
        "http://shop.example:99999/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.0.0.0x1/",
        "http://shop.example/#part",
        "http://shop.example/a b",
        "http://shop.example/\r\nHost: x",
        "http://[::1",
        "http://shöp.example/",
        "http://" + "x" * 300,
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    assert set(errors_of(ProbeKind.HTTP, url=url)) == {"url"}


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap", "secrets", "Deployment/../Secret"])
def test_a_kind_that_is_not_on_the_list_is_refused(kind: str) -> None:
    errors = errors_of(
        ProbeKind.KUBERNETES_FIELD, kind=kind, namespace="a", name="b", path="status.x", value="1"
    )
    assert set(errors) == {"kind"}


@pytest.mark.parametrize("name", ["../../secrets/x", "a/b", "A", "x?y", "%2e"])
def test_no_name_leads_out_of_its_path(name: str) -> None:
    given = {"kind": "Pod", "namespace": "a", "name": "b", "path": "status.x", "value": "1"}
    for field in ("name", "namespace"):
        assert set(errors_of(ProbeKind.KUBERNETES_FIELD, **(given | {field: name}))) == {field}


def test_defaults_are_filled_in_and_empty_ones_left_out() -> None:
    assert clean_parameters(ProbeKind.HTTP, {"url": "https://shop.example", "host": " "}) == {
        "url": "https://shop.example",
        "status": 200,
    }
    assert clean_parameters(ProbeKind.ENVOY_STAT, {"url": "http://10.0.0.1:8002"}) == {
        "url": "http://10.0.0.1:8002",
        "stat": "control_plane.connected_state",
        "comparison": "at_least",
        "value": 1.0,
    }


def test_what_was_cleaned_stays_clean() -> None:
    """A stored row is shown in the form again and must pass as it is."""
    given: dict[ProbeKind, dict[str, object]] = {
        ProbeKind.HTTP: {"url": "https://shop.example/x?y=1", "host": "shop:80"},
        ProbeKind.TCP: {"host": "[fd00::1]", "port": "5432"},
        ProbeKind.KUBERNETES_FIELD: {
            "kind": "Node", "name": "qa-1", "path": "status.x", "comparison": "exists",
        },
        ProbeKind.PROMETHEUS: {"query": "up", "value": "0.5"},
        ProbeKind.ALERT_EXPECTED: {"alert": "X", "labels": 'a="b, c", d=e', "within_s": "30"},
        ProbeKind.ENVOY_STAT: {"url": "http://10.0.0.1:8002/"},
        ProbeKind.ROUTE_CHANGE: {"url": "http://10.0.0.1/", "host": "canary.qa.local"},
    }  # fmt: skip
    assert set(given) == set(BY_HAND)
    for kind, values in given.items():
        once = clean_parameters(kind, values)
        assert clean_parameters(kind, dict(once)) == once
        assert KINDS[kind].in_words(once)
