"""A proof is a run of the same fault: not of a shorter one, and not one from before its fix."""

from __future__ import annotations

import pytest
from django.utils import timezone

from gamedays.choices import FindingStatus, InjectionState, Outcome, Verdict
from gamedays.models import Finding, Fix, Probe
from gamedays.operations.findings import record_fix, request_verification
from tests.gamedays.test_conductor import Story, begin, make_fake
from tests.people import Cast, make_cast

pytestmark = pytest.mark.django_db
_S = InjectionState


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def _finding(cast: Cast) -> Finding:
    """Reads fail while the etcd member is away for a minute."""
    fake = make_fake(cast.cluster)
    # An hour ago: this clock and the machine's go their own ways, and neither overtakes the other.
    fake.clock.forward(-3600)
    fake.watch.failing = {"api-read": 1}
    done = begin(cast, fake, hold_s=60).to_the_end()
    return Finding.objects.get(injection=done, symptom__probe="api-read")


def test_a_fault_that_a_stop_condition_cut_short_proves_no_fix(cast: Cast) -> None:
    """The symptom may need the whole hold to show; another probe ended it after seconds."""
    finding = _finding(cast)
    record_fix(actor=cast.erik, finding=finding, what="x", link="", fixed_since=timezone.now())
    Probe.objects.filter(cluster=cast.cluster, key="api-write").update(abort_after_s=20)
    asked = request_verification(actor=cast.erik, finding=finding)
    assert asked.injection
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"api-write": 1}
    done = Story(asked.injection, fake).to_the_end()
    assert done.undo_asked_at
    assert done.bitten_at
    assert (done.undo_asked_at - done.bitten_at).total_seconds() < 40
    assert done.verdict == Verdict.BROKE
    asked.refresh_from_db()
    finding.refresh_from_db()
    assert asked.outcome == Outcome.INCONCLUSIVE
    assert "cut short" in asked.explanation
    assert finding.status == FindingStatus.FIX_READY


def test_a_symptom_that_shows_in_a_fault_cut_short_recurs_all_the_same(cast: Cast) -> None:
    finding = _finding(cast)
    record_fix(actor=cast.erik, finding=finding, what="x", link="", fixed_since=timezone.now())
    Probe.objects.filter(cluster=cast.cluster, key="api-write").update(abort_after_s=20)
    asked = request_verification(actor=cast.erik, finding=finding)
    assert asked.injection
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"api-write": 1, "api-read": 1}
    Story(asked.injection, fake).to_the_end()
    asked.refresh_from_db()
    assert asked.outcome == Outcome.RECURS


def test_a_fix_that_is_recorded_while_its_proof_runs_proves_nothing(cast: Cast) -> None:
    """Dated back, it would turn a run that was lucky without any fix into a proof."""
    finding = _finding(cast)
    asked = request_verification(actor=cast.erik, finding=finding)
    assert asked.injection
    fake = make_fake(cast.cluster)
    story = Story(asked.injection, fake)
    story.to(_S.OBSERVING)
    # The run's clock is not ours: its fault may lie ahead of now, or not any more.
    shown = finding.injection.injecting_at
    assert shown is not None
    since = min(timezone.now(), max(finding.created_at, shown))
    fix = record_fix(actor=cast.erik, finding=finding, what="x", link="", fixed_since=since)
    Fix.objects.filter(pk=fix.pk).update(recorded_at=fake.clock.at)
    story.to_the_end()
    asked.refresh_from_db()
    finding.refresh_from_db()
    assert asked.outcome == Outcome.DOES_NOT_RECUR
    assert asked.after_fix is None
    assert "proves nothing" in asked.explanation
    assert finding.status == FindingStatus.FIX_READY
