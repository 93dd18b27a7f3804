"""Probes in the page: made, tried, changed and switched by those who may."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from core.choices import SlotKind
from core.operations.slots import take_slot
from gamedays.choices import ProbeKind
from gamedays.models import MetricsSource, Probe
from tests.people import Cast
from tests.ui import factories
from tests.ui.conftest import As

NEW = "/clusters/qa-range/probes/new/"
METRICS = "/clusters/qa-range/metrics/"
TYPED = {
    "title": "Orders database",
    "parameters.host": "10.0.0.5",
    "parameters.port": "5432",
    "timeout_s": "2",
    "attempts": "1",
    "must_hold": "throughout",
    "abort_after_s": "",
}


@pytest.fixture
def open_port(settings: Any) -> Iterator[int]:
    settings.BELAY_PROBE_ALLOW_LOOPBACK = True
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("who", "status"),
    [("lea", 200), ("erik", 200), ("vera", 403), ("otto", 404), ("olga", 200), (None, 302)],
)
def test_who_opens_the_forms(who: str | None, status: int, cast: Cast, client_of: As) -> None:
    for path in (NEW, f"{NEW}?kind=tcp", "/clusters/qa-range/probes/shop/"):
        assert client_of(who).get(path).status_code == status, path
    for path in ("probes/shop/try/", "probes/shop/switch/"):
        assert client_of(who).get(f"/clusters/qa-range/{path}").status_code in (405, 302)


@pytest.mark.parametrize(
    ("who", "status"), [("lea", 200), ("erik", 403), ("vera", 403), ("otto", 404), ("olga", 200)]
)
def test_who_names_the_prometheus(who: str, status: int, cast: Cast, client_of: As) -> None:
    assert client_of(who).get(METRICS).status_code == status


@pytest.mark.parametrize(
    "kind", [k for k in ProbeKind.values if not k.startswith(("api", "can", "etcd"))]
)
def test_every_kind_has_a_form(kind: str, cast: Cast, client_of: As) -> None:
    text = client_of("lea").get(f"{NEW}?kind={kind}").content.decode()
    assert 'data-testid="try-now"' in text
    assert f"?kind={kind}" in client_of("lea").get(NEW).content.decode()


def test_a_probe_is_made_changed_and_switched(cast: Cast, client_of: As) -> None:
    erik = client_of("erik")
    assert erik.post(f"{NEW}?kind=tcp", TYPED).status_code == 302
    probe = Probe.objects.get(title="Orders database")
    listed = erik.get("/clusters/qa-range/").content.decode()
    assert "10.0.0.5:5432 takes connections" in listed
    page = f"/clusters/qa-range/probes/{probe.key}/"
    assert 'value="10.0.0.5"' in erik.get(page).content.decode()
    changed = TYPED | {"version": "1", "abort_after_s": "10", "felt_by_users": "on"}
    assert erik.post(page, changed).status_code == 302
    probe.refresh_from_db()
    assert (probe.abort_after_s, probe.felt_by_users, probe.version) == (10, True, 2)
    assert "aborts after 10 s" in erik.get("/clusters/qa-range/").content.decode()
    erik.post(f"{page}switch/", {"to": "off"})
    probe.refresh_from_db()
    assert not probe.enabled


def test_what_is_wrong_stands_beside_its_field_and_nothing_is_lost(
    cast: Cast, client_of: As
) -> None:
    typed = TYPED | {"parameters.port": "none", "timeout_s": "60"}
    answer = client_of("lea").post(f"{NEW}?kind=tcp", typed)
    text = answer.content.decode()
    assert answer.status_code == 422
    assert "is no whole number" in text
    assert "choose 0.2 to 5 seconds" in text
    assert 'value="Orders database"' in text
    assert 'value="none"' in text
    assert Probe.objects.filter(title="Orders database").count() == 0


def test_a_change_that_came_too_late_is_told(cast: Cast, client_of: As) -> None:
    lea = client_of("lea")
    lea.post(f"{NEW}?kind=tcp", TYPED)
    page = "/clusters/qa-range/probes/orders-database/"
    lea.post(page, TYPED | {"version": "1", "title": "Orders"})
    answer = lea.post(page, TYPED | {"version": "1", "title": "Mine"})
    assert answer.status_code == 422
    assert "Somebody else changed this probe meanwhile" in answer.content.decode()
    assert 'value="Mine"' in answer.content.decode()


def test_a_draft_is_tried_and_nothing_is_saved(cast: Cast, client_of: As, open_port: int) -> None:
    typed = TYPED | {"parameters.host": "127.0.0.1", "parameters.port": str(open_port), "try": "1"}
    before = Probe.objects.count()
    text = client_of("lea").post(f"{NEW}?kind=tcp", typed).content.decode()
    assert 'data-testid="trial" data-state="passing"' in text
    assert "It would pass." in text
    assert f'value="{open_port}"' in text
    closed = client_of("lea").post(f"{NEW}?kind=tcp", typed | {"parameters.port": "1"})
    assert 'data-state="failing"' in closed.content.decode()
    assert Probe.objects.count() == before


def test_a_trial_that_could_not_look_is_no_failure(cast: Cast, client_of: As) -> None:
    typed = TYPED | {"parameters.host": "169.254.169.254", "try": "1"}
    text = client_of("lea").post(f"{NEW}?kind=tcp", typed).content.decode()
    assert 'data-state="unknown"' in text
    assert "no probe may ask 169.254.169.254" in text


def test_a_stored_probe_is_tried_in_the_list_and_without_javascript(
    cast: Cast, client_of: As, open_port: int
) -> None:
    lea, url = client_of("lea"), "/clusters/qa-range/probes/shop/try/"
    fragment = lea.post(url, headers={"HX-Request": "true"}).content.decode()
    assert 'data-state="failing"' in fragment
    assert "<html" not in fragment
    whole = lea.post(url).content.decode()
    assert 'data-state="failing"' in whole
    assert "<html" in whole


def test_a_live_fault_keeps_its_probes(cast: Cast, client_of: As) -> None:
    run = factories.make_run(cast)
    take_slot(cluster=cast.cluster, kind=SlotKind.INJECTION, holder=run.pk)
    answer = client_of("lea").post(f"{NEW}?kind=tcp", TYPED)
    assert answer.status_code == 422
    assert "A fault is under way" in answer.content.decode()


def test_a_viewer_sees_what_is_looked_at_and_no_buttons(cast: Cast, client_of: As) -> None:
    text = client_of("vera").get("/clusters/qa-range/").content.decode()
    assert 'data-testid="probe-row" data-probe="shop"' in text
    for verb in ("add-probe", "try-shop", "switch-shop", "name-metrics"):
        assert f'data-testid="{verb}"' not in text


def test_a_prometheus_is_named_and_its_token_never_shown(
    cast: Cast, client_of: As, settings: Any
) -> None:
    settings.BELAY_PROBE_ALLOW_LOOPBACK = True
    lea = client_of("lea")
    typed = {"url": "http://127.0.0.1:1", "token": "metrics-token"}
    text = lea.post(METRICS, typed).content.decode()
    assert 'data-state="unknown"' in text
    assert "refused the connection" in text
    assert "metrics-token" not in text
    source = MetricsSource.objects.get()
    assert source.token_encrypted
    assert "metrics-token" not in lea.get(METRICS).content.decode()
    assert "http://127.0.0.1:1" in lea.get("/clusters/qa-range/").content.decode()
    lea.post(METRICS, {"remove": "1"})
    assert not MetricsSource.objects.exists()


def test_a_wrong_address_is_told_beside_its_field(cast: Cast, client_of: As) -> None:
    answer = client_of("lea").post(METRICS, {"url": "prometheus", "ca_pem": "no certificate"})
    assert answer.status_code == 422
    text = answer.content.decode()
    assert "has to begin with http://" in text
    assert "this is no certificate" in text
    assert not MetricsSource.objects.exists()


def test_probes_that_nobody_can_ask_are_pointed_out(cast: Cast, client_of: As) -> None:
    typed = TYPED | {"parameters.alert": "ShopIsDown", "parameters.within_s": "60"}
    lea = client_of("lea")
    assert lea.post(f"{NEW}?kind=alert_expected", typed).status_code == 302
    text = lea.get("/clusters/qa-range/").content.decode()
    assert 'data-testid="lacks-metrics"' in text
    assert "A lead names it on the cluster&#x27;s page" in text
    assert "ShopIsDown fires within 60 s" in text
