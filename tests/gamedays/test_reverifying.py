"""What becomes of a re-verification whose run never was, and of a symptom that is seen again."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.utils import timezone

from gamedays.choices import (
    FindingStatus,
    GamedayState,
    InjectionState,
    Outcome,
    Verdict,
    VerificationTask,
)
from gamedays.models import Finding, Gameday, Recurrence, Verification
from gamedays.operations.bookings import cancel_gameday
from gamedays.operations.due import start_due
from gamedays.operations.findings import record_fix, request_verification
from gamedays.operations.runs import abort_injection, end_gameday
from tests.gamedays.test_conductor import Story, begin, make_fake
from tests.people import Cast, make_cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def finding(cast: Cast) -> Finding:
    """Reads failed in a run, and a fix is recorded."""
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"api-read": 1}
    found = Finding.objects.get(injection=begin(cast, fake).to_the_end())
    record_fix(actor=cast.erik, finding=found, what="/readyz", link="", fixed_since=timezone.now())
    return found


def nothing_waits(asked: Verification) -> None:
    asked.refresh_from_db()
    assert (asked.task, asked.outcome) == (VerificationTask.EVALUATED, Outcome.INVALID)
    assert "re-verify again" in asked.explanation


def test_a_refused_reverification_may_be_asked_for_again(cast: Cast, finding: Finding) -> None:
    asked = request_verification(actor=cast.erik, finding=finding)
    assert asked.injection
    fake = make_fake(cast.cluster)
    fake.guards.machines["qa-1"].healthy = False
    run = Story(asked.injection, fake).to_the_end()
    assert run.state == InjectionState.REFUSED
    nothing_waits(asked)
    assert run.reason in asked.explanation
    assert Gameday.objects.get(pk=asked.gameday_id).state == GamedayState.DONE
    finding.refresh_from_db()
    assert finding.status == FindingStatus.FIX_READY, "a run that never was disproves nothing"

    again = request_verification(actor=cast.erik, finding=finding)
    assert again.injection
    Story(again.injection, make_fake(cast.cluster)).to_the_end()
    finding.refresh_from_db()
    assert finding.status == FindingStatus.VERIFIED_FIXED
    assert finding.proof == again


def test_an_abort_before_anything_was_touched_frees_it_too(cast: Cast, finding: Finding) -> None:
    asked = request_verification(actor=cast.erik, finding=finding)
    assert asked.injection
    abort_injection(actor=cast.vera, injection=asked.injection)
    nothing_waits(asked)
    assert request_verification(actor=cast.erik, finding=finding).injection


def test_a_booked_one_that_never_ran_frees_it_too(cast: Cast, finding: Finding) -> None:
    later = timezone.now() + dt.timedelta(hours=2)
    asked = request_verification(actor=cast.lea, finding=finding, starts_at=later)
    cancel_gameday(actor=cast.lea, gameday=asked.gameday)
    nothing_waits(asked)

    missed = request_verification(actor=cast.lea, finding=finding, starts_at=later)
    missed.gameday.period = DateTimeTZRange(
        missed.gameday.starts_at - dt.timedelta(hours=3),
        missed.gameday.ends_at - dt.timedelta(hours=3),
    )
    missed.gameday.save(update_fields=["period"])
    start_due()
    assert Gameday.objects.get(pk=missed.gameday_id).state == GamedayState.MISSED
    nothing_waits(missed)


def test_a_refused_fault_of_a_gameday_waits_for_a_person(cast: Cast) -> None:
    fake = make_fake(cast.cluster)
    fake.guards.machines["qa-1"].healthy = False
    run = begin(cast, fake).to_the_end()
    gameday = run.agenda_item.gameday
    assert gameday.state == GamedayState.RUNNING
    end_gameday(actor=cast.erik, gameday=gameday)
    gameday.refresh_from_db()
    assert gameday.state == GamedayState.DONE


def test_a_symptom_that_is_seen_again_is_evidence_and_no_second_finding(cast: Cast) -> None:
    first = make_fake(cast.cluster)
    first.watch.failing = {"api-read": 1, "api-write": 1}
    begin(cast, first).to_the_end()
    reads, writes = Finding.objects.order_by("symptom__key")
    assert writes.symptom["probe"] == "api-write"

    # Looked for: the reads. The writes fail again too, and nobody asked.
    asked = request_verification(actor=cast.erik, finding=reads)
    second = make_fake(cast.cluster)
    second.watch.failing = {"api-read": 1, "api-write": 1}
    assert asked.injection
    run = Story(asked.injection, second).to_the_end()
    assert Finding.objects.count() == 2
    again = Recurrence.objects.get()
    assert (again.finding, again.injection, again.after_fix) == (writes, run, None)
    assert "failed" in again.happened
    assert again.measured["attempts"] > again.measured["passed"]


def test_a_fix_after_which_it_is_seen_again_is_no_fix(cast: Cast, finding: Finding) -> None:
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"api-read": 1}
    begin(cast, fake).to_the_end()
    finding.refresh_from_db()
    assert Recurrence.objects.get().after_fix == finding.fixes.get()
    assert finding.status == FindingStatus.FIX_IN_PROGRESS

    asked = request_verification(actor=cast.erik, finding=finding)
    assert asked.injection
    Story(asked.injection, make_fake(cast.cluster)).to_the_end()
    asked.refresh_from_db()
    finding.refresh_from_db()
    assert asked.outcome == Outcome.DOES_NOT_RECUR
    assert finding.status != FindingStatus.VERIFIED_FIXED, "luck is no proof"


def test_what_was_proved_fixed_and_comes_back_is_a_finding_of_its_own(
    cast: Cast, finding: Finding
) -> None:
    asked = request_verification(actor=cast.erik, finding=finding)
    assert asked.injection
    Story(asked.injection, make_fake(cast.cluster)).to_the_end()
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"api-read": 1}
    run = begin(cast, fake).to_the_end()
    assert Finding.objects.get(injection=run) != finding
    assert not Recurrence.objects.exists()


def test_a_way_back_that_was_stuck_proves_no_fix(cast: Cast, finding: Finding) -> None:
    asked = request_verification(actor=cast.erik, finding=finding)
    assert asked.injection
    fake = make_fake(cast.cluster)
    story = Story(asked.injection, fake)
    story.to(InjectionState.ACTIVE)
    fake.guards.machines["qa-2"].stuck = "the manifest could not be put back"
    story.to(InjectionState.UNDO_STUCK)
    # A person mends the node by hand, and with it whatever the symptom was.
    fake.guards.machines["qa-2"].stuck = ""
    run = story.to_the_end()
    assert (run.state, run.verdict) == (InjectionState.CLEAN, Verdict.INCONCLUSIVE)
    asked.refresh_from_db()
    finding.refresh_from_db()
    assert asked.outcome == Outcome.INCONCLUSIVE
    assert "what recovered it is not known" in asked.explanation
    assert finding.status == FindingStatus.FIX_READY, "a green that nobody can account for"
