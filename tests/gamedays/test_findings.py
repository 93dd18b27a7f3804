"""A finding ends only in proof, by no other way."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from core.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from gamedays.choices import FindingStatus, InjectionState, Outcome, Verdict
from gamedays.models import Finding, Injection, Verification
from gamedays.operations.findings import (
    edit_finding,
    record_fix,
    request_verification,
    set_finding_status,
)
from gamedays.operations.runs import start_gameday
from migrator.models import Service
from tests.people import ETCD, Cast, book, make_cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def finding(cast: Cast) -> Finding:
    injection = start_gameday(actor=cast.erik, gameday=book(cast))
    Injection.objects.update(state=InjectionState.CLEAN, verdict=Verdict.BROKE)
    cast.cluster.slot_claims.update(released_at=timezone.now())
    cast.cluster.gamedays.update(state="done")
    return Finding.objects.create(
        cluster=cast.cluster,
        injection=injection,
        title="API reads fail",
        scenario_key=ETCD,
        scenario_version=injection.scenario_version,
        parameters=injection.parameters,
        symptom={
            "kind": "probe",
            "key": "api-reads:api-read",
            "probe": "api-read",
            "min_passed_share": 0.99,
            "window": {"from": "bitten", "grace_s": 10, "to": "undo_asked"},
        },
    )


def test_nobody_sets_verified_fixed_by_hand(cast: Cast, finding: Finding) -> None:
    for actor in (cast.erik, cast.lea, cast.olga):
        with pytest.raises(Conflict) as refused:
            set_finding_status(
                actor=actor, finding=finding, version=1, status=FindingStatus.VERIFIED_FIXED
            )
        assert refused.value.code == "needs_proof"
    with pytest.raises(IntegrityError), transaction.atomic():
        Finding.objects.update(status=FindingStatus.VERIFIED_FIXED)


@pytest.mark.parametrize(
    "outcome", [Outcome.RECURS, Outcome.INCONCLUSIVE, Outcome.INVALID, Outcome.DOES_NOT_RECUR]
)
def test_the_database_wants_a_proof_that_is_one(cast: Cast, finding: Finding, outcome: str) -> None:
    """Also *does not recur* is none, where no fix came before the run."""
    proof = Verification.objects.create(
        finding=finding, gameday=book(cast), asked_by=cast.erik, outcome=outcome
    )
    with pytest.raises(IntegrityError), transaction.atomic():
        Finding.objects.update(status=FindingStatus.VERIFIED_FIXED, proof=proof)
    with pytest.raises(IntegrityError), transaction.atomic():
        Verification.objects.update(measured={"other": 1})


def test_a_page_that_was_open_too_long_overwrites_nothing(cast: Cast, finding: Finding) -> None:
    values = {
        "believed": "",
        "happened": "",
        "cause": "x",
        "severity": "high",
        "owner": cast.erik,
        "service": None,
    }
    edit_finding(actor=cast.erik, finding=finding, version=1, title="First", **values)  # type: ignore[arg-type]
    with pytest.raises(Conflict) as refused:
        edit_finding(actor=cast.lea, finding=finding, version=1, title="Second", **values)  # type: ignore[arg-type]
    assert refused.value.code == "edited_meanwhile"
    finding.refresh_from_db()
    assert finding.title == "First"
    assert not finding.drafted


def test_it_may_be_about_a_service_that_the_person_sees(cast: Cast, finding: Finding) -> None:
    values = {
        "title": "Orders are lost",
        "believed": "",
        "happened": "",
        "cause": "",
        "severity": "high",
        "owner": None,
    }
    ours = Service.objects.create(name="Orders", slug="orders", team=cast.team)
    theirs = Service.objects.create(name="Search", slug="search", team=cast.otto.teams.get())
    with pytest.raises(Invalid) as refused:
        edit_finding(actor=cast.erik, finding=finding, version=1, service=theirs, **values)  # type: ignore[arg-type]
    assert refused.value.field == "service"
    edit_finding(actor=cast.erik, finding=finding, version=1, service=ours, **values)  # type: ignore[arg-type]
    finding.refresh_from_db()
    assert finding.service == ours


def test_a_viewer_reads_only(cast: Cast, finding: Finding) -> None:
    for actor, error in ((cast.vera, NotAllowed), (cast.otto, NotFound)):
        with pytest.raises(error):
            record_fix(actor=actor, finding=finding, what="x", link="", fixed_since=timezone.now())
        with pytest.raises(error):
            request_verification(actor=actor, finding=finding)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"what": " "}, "what"),
        ({"link": "javascript:alert(1)"}, "link"),
        ({"fixed_since": dt.timedelta(hours=1)}, "fixed_since"),
    ],
)
def test_a_fix_is_checked(
    cast: Cast, finding: Finding, change: dict[str, object], field: str
) -> None:
    values: dict[str, object] = {"what": "Check /readyz", "link": "", **change}
    since = values.pop("fixed_since", dt.timedelta())
    assert isinstance(since, dt.timedelta)
    with pytest.raises(Invalid) as refused:
        record_fix(
            actor=cast.erik,
            finding=finding,
            fixed_since=timezone.now() + since,
            **values,  # type: ignore[arg-type]
        )
    assert refused.value.field == field


def test_reverify_repeats_the_same_version_with_the_same_parameters(
    cast: Cast, finding: Finding
) -> None:
    asked = request_verification(actor=cast.erik, finding=finding)
    assert asked.injection
    assert asked.injection.parameters == finding.parameters
    assert asked.injection.scenario_version == finding.scenario_version
    with pytest.raises(Conflict) as refused:
        request_verification(actor=cast.erik, finding=finding)
    assert refused.value.code == "verification_waiting"


def test_another_scenario_version_is_no_repeat(cast: Cast, finding: Finding) -> None:
    Finding.objects.update(scenario_version=99)
    finding.refresh_from_db()
    with pytest.raises(Conflict) as refused:
        request_verification(actor=cast.erik, finding=finding)
    assert refused.value.code == "scenario_changed"


def test_booking_a_reverification_is_for_leads(cast: Cast, finding: Finding) -> None:
    at = timezone.now() + dt.timedelta(hours=2)
    with pytest.raises(NotAllowed):
        request_verification(actor=cast.erik, finding=finding, starts_at=at)
    with pytest.raises(DomainError):
        request_verification(actor=cast.lea, finding=finding, starts_at=at - dt.timedelta(hours=3))
    asked = request_verification(actor=cast.lea, finding=finding, starts_at=at)
    assert asked.gameday.autostart
    assert asked.injection is None
