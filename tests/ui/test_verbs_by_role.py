"""Every address that changes something, for every role. What is refused has no effect at all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver

from gamedays.choices import InjectionState, Verdict
from migrator.models import Service
from migrator.operations.csv_import import upload_csv
from tests.people import Cast, book
from tests.ui import factories
from tests.ui.conftest import As

TEAM = {"lea", "erik", "vera", "olga"}
RUNNERS = {"lea", "erik", "olga"}
LEADS = {"lea", "olga"}
KEEPERS = {"lea", "erik", "otto", "olga"}
"""Who keeps services of some team."""
ALL = {"lea", "erik", "vera", "otto", "olga"}

VERBS: dict[str, tuple[str, set[str]]] = {
    "start_gameday": ("/gamedays/{gameday}/start/", RUNNERS),
    "cancel_gameday": ("/gamedays/{gameday}/cancel/", LEADS),
    "end_gameday": ("/gamedays/{gameday}/end/", RUNNERS),
    "book": ("/gamedays/book/", LEADS),
    "abort_run": ("/runs/{run}/abort/", TEAM),
    "add_note": ("/runs/{run}/notes/", TEAM),
    "edit_finding": ("/findings/{finding}/edit/", RUNNERS),
    "set_finding_status": ("/findings/{finding}/status/", RUNNERS),
    "record_fix": ("/findings/{finding}/fix/", RUNNERS),
    "verify_finding": ("/findings/{finding}/verify/", RUNNERS),
    "new_probe": ("/clusters/qa-range/probes/new/?kind=tcp", RUNNERS),
    "edit_probe": ("/clusters/qa-range/probes/shop/", RUNNERS),
    "try_probe": ("/clusters/qa-range/probes/shop/try/", RUNNERS),
    "switch_probe": ("/clusters/qa-range/probes/shop/switch/", RUNNERS),
    "cluster_metrics": ("/clusters/qa-range/metrics/", LEADS),
    "look_at_guards": ("/clusters/qa-range/guards/", RUNNERS),
    "by_hand": ("/runs/{stuck}/by-hand/", LEADS),
    "new_service": ("/services/new/", KEEPERS),
    "edit_service": ("/services/shop/edit/", RUNNERS),
    "confirm_capacity": ("/services/shop/capacity/", RUNNERS),
    "add_dependency": ("/services/shop/dependencies/add/", RUNNERS),
    "remove_dependency": ("/services/shop/dependencies/remove/", RUNNERS),
    "import_services": ("/services/import/", KEEPERS),
    "import_preview": ("/services/import/{kept}/", {"erik"}),
    "discard_import": ("/services/import/{kept}/discard/", {"erik"}),
    "link_found": (
        "/services/discover/qa-range/link/?kind=HTTPProxy&namespace=shop&name=front",
        RUNNERS,
    ),
    "set_stop": ("/emergency/set/", TEAM),
    # Otto leads a team without a cluster: there is nothing that he could let go on.
    "release_stop": ("/emergency/release/", LEADS),
}
FORMS: dict[str, dict[str, str]] = {
    "add_note": {"text": "seen"},
    "edit_finding": {
        "version": "1", "title": "t", "severity": "low", "believed": "", "happened": "",
        "cause": "",
    },
    "set_finding_status": {"version": "1", "status": "acknowledged"},
    "record_fix": {"what": "x", "fixed_since_date": "2026-01-01", "fixed_since_time": "10:00"},
    "verify_finding": {"at": "now"},
    "new_probe": {"title": "t", "parameters.host": "10.0.0.1", "parameters.port": "1"},
    "switch_probe": {"to": "off"},
    "cluster_metrics": {"url": "http://10.0.0.1:9090"},
    "by_hand": {"reason": "done", "seen": "looked"},
    "release_stop": {"reason": "because"},
    "new_service": {"name": "Prices", "team": "payments", "tier": "2"},
    "edit_service": {"name": "Shop", "team": "payments", "tier": "2", "version": "1"},
    "confirm_capacity": {"version": "1"},
    "add_dependency": {"needs": "Prices"},
    "remove_dependency": {"needs": "1"},
    "link_found": {"service": "Shop"},
}  # fmt: skip
ELSEWHERE = {
    "login", "logout", "you", "choose_theme",
    # Read only.
    "healthz", "robots", "week", "setups", "strip", "gamedays", "gameday", "run", "run_live",
    "run_samples", "emergency", "findings", "finding", "scenarios", "scenario", "clusters",
    "cluster", "services", "service", "service_names", "service_graph", "export_services",
    "discover", "discover_cluster",
}  # fmt: skip
"""Addresses that change nothing of a team's."""
_WRITES = ("INSERT", "UPDATE", "DELETE")
_ONES_OWN = ("django_session", "core_user")


@pytest.fixture
def places(cast: Cast) -> dict[str, object]:
    ended = factories.make_run(cast, verdict=Verdict.BROKE, judgement=factories.BROKE)
    finding = factories.make_finding(cast, ended)
    stuck = factories.make_run(cast, InjectionState.UNDO_STUCK)
    Service.objects.create(name="Shop", slug="shop", team=cast.team)
    kept = upload_csv(actor=cast.erik, file_name="s.csv", content=b"name,team\nA,Payments\n")
    return {
        "kept": kept.pk,
        "gameday": book(cast, starts_in=dt.timedelta(days=2)).pk,
        "run": ended.pk,
        "finding": finding.pk,
        "stuck": stuck.pk,
    }


def names(patterns: list[URLPattern | URLResolver]) -> Iterator[str]:
    for one in patterns:
        if isinstance(one, URLResolver):
            yield from names(one.url_patterns)
        else:
            yield str(one.name)


def test_every_address_is_in_one_of_the_lists() -> None:
    assert set(names(get_resolver().url_patterns)) == set(VERBS) | ELSEWHERE


@pytest.mark.parametrize("name", VERBS)
def test_whoever_may_not_is_refused_without_any_effect(
    name: str, places: dict[str, object], client_of: As
) -> None:
    address, allowed = VERBS[name]
    for who in sorted(ALL - allowed):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            answer = client_of(who).post(address.format(**places), FORMS.get(name, {}))
        assert answer.status_code in (403, 404), (who, answer.status_code)
        written = [
            query["sql"]
            for query in asked.captured_queries
            if query["sql"].startswith(_WRITES)
            and not any(own in query["sql"] for own in _ONES_OWN)
        ]
        assert written == [], who


@pytest.mark.parametrize("name", VERBS)
def test_nobody_does_it_without_a_login_or_without_the_forms_token(
    name: str, places: dict[str, object], cast: Cast
) -> None:
    address = VERBS[name][0].format(**places)
    form = FORMS.get(name, {})
    answer = Client().post(address, form)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/login/")
    forged = Client(enforce_csrf_checks=True)
    forged.force_login(cast.lea)
    assert forged.post(address, form).status_code == 403


@pytest.mark.parametrize("name", VERBS)
def test_whoever_may_is_not_refused(name: str, places: dict[str, object], client_of: As) -> None:
    """A form that is not filled in may be told so; the person is not."""
    address, allowed = VERBS[name]
    for who in sorted(allowed):
        answer = client_of(who).post(address.format(**places), FORMS.get(name, {}))
        assert answer.status_code in (200, 302, 409, 422), (who, answer.status_code)
