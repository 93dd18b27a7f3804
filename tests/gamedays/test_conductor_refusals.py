"""What the conductor refuses before anything is touched, and what no run is called for free."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from gamedays.choices import InjectionState, Verdict
from gamedays.models import Finding, Injection, Probe
from tests.gamedays.fakes import FakeWorld
from tests.gamedays.test_conductor import begin, make_fake
from tests.people import Cast, make_cast

pytestmark = pytest.mark.django_db
_S = InjectionState


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def fake(cast: Cast) -> FakeWorld:
    return make_fake(cast.cluster)


def test_row_35_a_degraded_etcd_is_refused(cast: Cast, fake: FakeWorld) -> None:
    fake.guards.machines["qa-1"].healthy = False
    done = begin(cast, fake).to_the_end()
    assert done.state == _S.REFUSED
    assert "degraded" in done.reason
    assert "arm" not in fake.guards.asked


def test_row_35_an_etcd_that_degrades_during_the_checks_is_refused(
    cast: Cast, fake: FakeWorld
) -> None:
    """Half a minute may lie between the first look and the arming: the undo is rehearsed in it."""
    story = begin(cast, fake)
    story.to(_S.PREFLIGHT)
    began = fake.clock.ticks
    story.go(lambda _i: fake.clock.ticks - began > 3)
    fake.guards.machines["qa-1"].healthy = False
    done = story.to_the_end()
    assert done.state == _S.REFUSED
    assert "degraded" in done.reason
    assert not any(machine.injections for machine in fake.guards.machines.values())


def test_row_41_a_red_steady_state_is_refused(cast: Cast, fake: FakeWorld) -> None:
    fake.watch.silent = {"shop"}
    done = begin(cast, fake).to_the_end()
    assert done.state == _S.REFUSED
    assert "unknown is not steady" in done.reason


def test_row_41_what_turns_red_during_the_checks_is_refused(cast: Cast, fake: FakeWorld) -> None:
    """A good half minute before must not outweigh that nobody gets an answer now."""
    story = begin(cast, fake)
    due_at = fake.clock.at + dt.timedelta(seconds=60)
    Injection.objects.filter(pk=story.injection.pk).update(due_at=due_at)
    story.to(_S.PREFLIGHT)
    story.go(lambda _i: (due_at - fake.clock.at).total_seconds() < 5.5)
    drain = fake.watch.drain_samples
    fake.watch.drain_samples = lambda: [  # type: ignore[method-assign]
        replace(sample, passed=0) for sample in drain()
    ]
    done = story.to_the_end()
    assert done.state == _S.REFUSED
    assert "is failing now" in done.reason


def test_row_42_the_marker_is_looked_at_again_at_arming(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    story.to(_S.PREFLIGHT)
    fake.clock.forward(1)
    story.conductor.advance()
    fake.cluster.refusal = "The cluster carries no QA marker."
    done = story.to_the_end()
    assert "arm" not in fake.guards.asked
    assert done.verdict != Verdict.HELD
    assert "no QA marker" in (done.reason + done.doubt)


def test_samples_that_are_missing_make_it_inconclusive(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    fake.watch.silent = {"api-read"}
    done = story.to_the_end()
    assert done.verdict == Verdict.INCONCLUSIVE
    assert "unknown" in done.reason


def test_without_a_probe_that_users_feel_nothing_is_held(cast: Cast, fake: FakeWorld) -> None:
    Probe.objects.filter(cluster=cast.cluster).update(felt_by_users=False)
    done = begin(cast, fake).to_the_end()
    assert done.verdict == Verdict.INCONCLUSIVE


def test_a_pod_that_is_lost_breaks_whatever_the_probes_say(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    fake.watch.pods = fake.watch.pods[:2]
    done = story.to_the_end()
    assert done.verdict == Verdict.BROKE
    assert Finding.objects.get().symptom["kind"] == "pods"


def test_rows_that_are_never_green_by_default(cast: Cast, fake: FakeWorld) -> None:
    run = fake.rows.read(begin(cast, fake).injection.pk, 1)
    assert run
    with pytest.raises(ValueError, match="never goes"):
        fake.rows.move(run, _S.CLEAN, text="")
