"""Every address that changes something, for every role. What is refused has no effect at all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from gamedays.choices import InjectionState, Verdict
from migrator.models import FreezeWindow, Override
from migrator.operations.csv_import import upload_csv
from tests.migrator.people import make_attempt, make_shop, make_wave
from tests.people import Cast, book
from tests.ui import factories
from tests.ui.conftest import As

TEAM = {"lea", "erik", "vera", "olga"}
RUNNERS = {"lea", "erik", "olga"}
LEADS = {"lea", "olga"}
KEEPERS = {"lea", "erik", "otto", "olga"}
"""Who keeps services of some team."""
LEADS_OF_ANY = {"lea", "otto", "olga"}
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
    "new_plan": ("/services/shop/plan/", LEADS),
    "clone_plan": ("/plans/{plan}/clone/", LEADS),
    "archive_plan": ("/plans/{plan}/archive/", LEADS),
    "go_back": ("/plans/{plan}/back/", RUNNERS),
    "check_rope": ("/plans/{plan}/rope/", TEAM),
    "new_step": ("/plans/{plan}/steps/new/?kind=manual", RUNNERS),
    "edit_step": ("/steps/{step}/edit/", RUNNERS),
    "start_step": ("/steps/{step}/start/", RUNNERS),
    "rehearse_step": ("/steps/{step}/rehearse/", RUNNERS),
    "walk_through": ("/steps/{step}/walk-through/", RUNNERS),
    "skip_step": ("/steps/{step}/skip/", LEADS),
    "take_skip_back": ("/steps/{step}/unskip/", LEADS),
    "sign_off": ("/steps/{step}/sign-off/", RUNNERS),
    "move_step": ("/steps/{step}/move/", RUNNERS),
    "remove_step": ("/steps/{step}/remove/", RUNNERS),
    "sign_override": ("/steps/{step}/override/", LEADS),
    "withdraw_override": ("/overrides/{override}/withdraw/", LEADS),
    "turn_round": ("/attempts/{attempt}/back/", TEAM),
    "continue_step": ("/attempts/{attempt}/continue/", RUNNERS),
    "return_by_hand": ("/attempts/{attempt}/by-hand/", LEADS),
    "tick": ("/attempts/{attempt}/tick/", RUNNERS),
    "new_template": ("/templates/new/", LEADS_OF_ANY),
    "template": ("/templates/stateless-http/", LEADS_OF_ANY),
    "template_step": ("/templates/stateless-http/steps/0/", LEADS_OF_ANY),
    "arrange_step": ("/templates/stateless-http/steps/0/arrange/", LEADS_OF_ANY),
    "archive_template": ("/templates/stateless-http/archive/", LEADS_OF_ANY),
    # Otto leads a team, but not the cluster's: to him it does not exist.
    "freezes": ("/freezes/", LEADS),
    "lift_freeze": ("/freezes/{freeze}/lift/", LEADS),
    "rehearsal_policy": ("/rehearsal-policy/", {"olga"}),
    "cluster_envoys": ("/clusters/qa-range/envoys/", LEADS),
    "new_wave": ("/waves/new/", LEADS_OF_ANY),
    "edit_wave": ("/waves/{wave}/edit/", LEADS),
    "put_in_wave": ("/waves/{wave}/services/", LEADS),
    "take_out_of_wave": ("/waves/{wave}/take-out/", LEADS),
    "archive_wave": ("/waves/{wave}/archive/", LEADS),
    "required_proofs": ("/clusters/qa-range/proofs/", LEADS),
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
    "new_plan": {"cluster": "qa-range"},
    "clone_plan": {"service": "shop", "cluster": "qa-range"},
    "new_step": {"title": "t", "parameters.items": "one"},
    "edit_step": {"version": "1", "title": "t"},
    "new_wave": {
        "name": "Second", "team": "payments", "starts_on": "2026-11-02", "ends_on": "2026-11-09",
    },
    "edit_wave": {
        "version": "2", "name": "First", "starts_on": "2026-11-02", "ends_on": "2026-11-09",
    },
    "put_in_wave": {"version": "2", "services": "Shop"},
    "take_out_of_wave": {"version": "2", "services": "1"},
    "archive_wave": {"version": "2"},
    "walk_through": {"minutes": "3", "notes": "we did", "succeeded": "yes"},
    "skip_step": {"reason": "not needed"},
    "sign_off": {"reason": "it is right"},
    "move_step": {"version": "1", "way": "later"},
    "remove_step": {"version": "1"},
    "sign_override": {"code": "frozen", "reason": "because", "hours": "2"},
    "return_by_hand": {"reason": "put right"},
    "tick": {"part": "do", "item": "0"},
    "new_template": {"title": "Ours"},
    "template": {"version": "1", "title": "Stateless", "description": ""},
    "template_step": {"version": "1", "title": "t"},
    "arrange_step": {"version": "1", "what": "later"},
    "freezes": {"cluster": "qa-range", "why": "sale"},
    "rehearsal_policy": {"days": "10", "real_route": "on"},
    "required_proofs": {"etcd-member-down": "4"},
    "cluster_envoys": {"urls": "http://10.0.0.1:8002"},
}  # fmt: skip
ELSEWHERE = {
    "login", "logout", "you", "choose_theme",
    # Read only.
    "healthz", "robots", "week", "setups", "strip", "gamedays", "gameday", "run", "run_live",
    "run_samples", "emergency", "findings", "finding", "scenarios", "scenario", "clusters",
    "cluster", "services", "service", "service_names", "service_graph", "export_services",
    "discover", "discover_cluster", "plans", "plan", "plan_live", "attempt", "attempt_live",
    "templates", "migrations", "blocked", "burn_up", "report", "report_markdown", "waves", "wave",
}  # fmt: skip
"""Addresses that change nothing of a team's."""
_WRITES = ("INSERT", "UPDATE", "DELETE")
_ONES_OWN = ("django_session", "core_user")


@pytest.fixture
def places(cast: Cast) -> dict[str, object]:
    ended = factories.make_run(cast, verdict=Verdict.BROKE, judgement=factories.BROKE)
    finding = factories.make_finding(cast, ended)
    stuck = factories.make_run(cast, InjectionState.UNDO_STUCK)
    shop = make_shop(cast, 1)
    attempt = make_attempt(shop)
    freeze = FreezeWindow.objects.create(
        cluster=cast.cluster,
        starts_at=timezone.now(),
        ends_at=timezone.now() + dt.timedelta(hours=2),
        why="A sale",
        declared_by=cast.lea,
    )
    signed = Override.objects.create(
        plan=shop.plan,
        step=attempt.step,
        code="frozen",
        reason="because",
        signed_by=cast.lea,
        expires_at=timezone.now() + dt.timedelta(hours=1),
    )
    kept = upload_csv(actor=cast.erik, file_name="s.csv", content=b"name,team\nA,Payments\n")
    return {
        "kept": kept.pk,
        "plan": shop.plan.pk,
        "wave": make_wave(cast, shop.service).pk,
        "step": attempt.step_id,
        "attempt": attempt.pk,
        "freeze": freeze.pk,
        "override": signed.pk,
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
