"""A fix is in place after the run that saw the symptom, and not before somebody made it."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from core.errors import Invalid
from gamedays.choices import Outcome, Verdict
from gamedays.models import Finding, Fix, Injection, Recurrence
from gamedays.operations.findings import record_fix
from tests.people import Cast, make_cast
from tests.ui import factories

pytestmark = pytest.mark.django_db
SECOND = dt.timedelta(seconds=1)


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def finding(cast: Cast) -> Finding:
    run = factories.make_run(cast, ago_s=9000, verdict=Verdict.BROKE, judgement=factories.BROKE)
    return factories.make_finding(cast, run)


def fix(cast: Cast, finding: Finding, since: dt.datetime) -> Fix:
    return record_fix(actor=cast.erik, finding=finding, what="x", link="", fixed_since=since)


def refused(cast: Cast, finding: Finding, since: dt.datetime) -> str:
    with pytest.raises(Invalid) as said:
        fix(cast, finding, since)
    assert said.value.field == "fixed_since"
    assert f"{since:%Y-%m-%d %H:%M:%S}" in said.value.message
    assert not Fix.objects.exists()
    return said.value.code


def began(run: Injection) -> dt.datetime:
    assert run.injecting_at
    return run.injecting_at


def test_the_future_fixes_nothing(cast: Cast, finding: Finding) -> None:
    assert refused(cast, finding, timezone.now() + 20 * SECOND) == "fixed_since_in_future"


def test_what_was_in_place_when_it_failed_is_no_fix(cast: Cast, finding: Finding) -> None:
    at = began(finding.injection)
    for since in (at - dt.timedelta(days=3), at):
        assert refused(cast, finding, since) == "fixed_since_before_run"
    assert fix(cast, finding, at + SECOND).fixed_since == at + SECOND


def test_a_reverification_that_saw_it_again_counts_as_well(cast: Cast, finding: Finding) -> None:
    again = factories.make_run(cast, ago_s=5000, verdict=Verdict.BROKE)
    factories.make_verification(cast, finding, again, Outcome.RECURS, None)
    clean = factories.make_run(cast, ago_s=2000, verdict=Verdict.HELD)
    factories.make_verification(cast, finding, clean, Outcome.DOES_NOT_RECUR, None)
    assert refused(cast, finding, began(again)) == "fixed_since_before_run"
    after = began(again) + SECOND
    assert fix(cast, finding, after).pk, "a run that was clean disproves nothing"


@pytest.mark.parametrize("edited", [False, True])
def test_a_run_that_saw_it_by_chance_counts_where_it_saw_the_findings_own_symptom(
    cast: Cast, finding: Finding, edited: bool
) -> None:
    again = factories.make_run(cast, ago_s=5000, verdict=Verdict.BROKE)
    Recurrence.objects.create(finding=finding, injection=again, happened="again")
    if edited:
        finding.symptom |= {"drafted": {"min_passed_share": 0.99}, "min_passed_share": 0.5}
        finding.save(update_fields=["symptom"])
        assert fix(cast, finding, began(again)).pk
    else:
        assert refused(cast, finding, began(again)) == "fixed_since_before_run"


def test_a_conductor_whose_clock_is_ahead_makes_no_fix_impossible(
    cast: Cast, finding: Finding
) -> None:
    ahead = timezone.now() + dt.timedelta(minutes=10)
    Injection.objects.filter(pk=finding.injection_id).update(injecting_at=ahead)
    assert refused(cast, finding, finding.injection.asked_at) == "fixed_since_before_run"
    assert fix(cast, finding, timezone.now()).pk
