"""Probes that people marked, and alerts that somebody expects."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from gamedays.choices import InjectionState, MustHold, ProbeKind, Verdict
from gamedays.execution.judge_alerts import judge_alert
from gamedays.models import Finding, Injection, Probe, SampleBlock
from gamedays.operations.runs import start_gameday
from tests.gamedays.test_conductor import begin, make_fake
from tests.people import Cast, book, make_cast

pytestmark = pytest.mark.django_db
WITHIN_S = 30


@pytest.fixture
def cast() -> Cast:
    return make_cast()


def _probe(cast: Cast, kind: ProbeKind = ProbeKind.TCP, **fields: object) -> Probe:
    values: dict[str, object] = {"title": "Ledger", "parameters": {"within_s": WITHIN_S}}
    return Probe.objects.create(cluster=cast.cluster, key="ledger", kind=kind, **(values | fields))


def _lines(injection: Injection) -> dict[str, dict[str, object]]:
    return {line["key"]: line for line in injection.judgement}


@pytest.mark.parametrize("must_hold", [MustHold.THROUGHOUT, MustHold.SCENARIO])
def test_a_probe_that_people_marked_is_judged(cast: Cast, must_hold: MustHold) -> None:
    _probe(cast, must_hold=must_hold)
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"ledger": 1}
    done = begin(cast, fake).to_the_end()
    if must_hold == MustHold.SCENARIO:
        assert done.verdict == Verdict.HELD
        assert "must-hold:ledger" not in _lines(done)
    else:
        assert done.verdict == Verdict.BROKE
        assert Finding.objects.get(injection=done).symptom["probe"] == "ledger"


def test_what_must_hold_afterwards_may_fail_while_the_fault_is_live(cast: Cast) -> None:
    _probe(cast, must_hold=MustHold.AFTERWARDS)
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"ledger": 1}  # only while a fault is on
    done = begin(cast, fake).to_the_end()
    assert _lines(done)["must-hold:ledger"]["result"] == "held"
    assert done.verdict == Verdict.HELD


def test_a_window_that_is_too_short_to_judge_says_so_and_what_to_do(cast: Cast) -> None:
    """Ten seconds of grace leave two of this hold: nothing was unseen, there was nothing to see."""
    done = begin(cast, make_fake(cast.cluster), hold_s=12).to_the_end()
    assert done.verdict == Verdict.INCONCLUSIVE
    assert "can be judged for 2 s only" in done.reason
    assert "Hold the fault for longer" in done.reason
    assert "was seen in only" not in done.reason


def test_an_alert_may_be_silent_before_the_fault(cast: Cast) -> None:
    """It is expected to be: a steady state with a firing alert would be the strange one."""
    _probe(cast, ProbeKind.ALERT_EXPECTED, must_hold=MustHold.THROUGHOUT)
    fake = make_fake(cast.cluster)
    drain = fake.watch.drain_samples

    def silent():  # type: ignore[no-untyped-def]
        alert = Probe.objects.get(key="ledger").pk
        return [
            sample if sample.probe_id != alert else type(sample)(**{**vars(sample), "passed": 0})
            for sample in drain()
        ]

    fake.watch.drain_samples = silent  # type: ignore[method-assign]
    done = begin(cast, fake, hold_s=40).to_the_end()
    assert done.state == InjectionState.CLEAN, done.reason
    assert done.verdict == Verdict.BROKE
    assert Finding.objects.get(injection=done).symptom["kind"] == "alert"


BITTEN = dt.datetime(2026, 5, 4, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("fires", "looked_from", "ended_s", "expected"),
    [
        (range(12, 60), -10, 60, ("held", "fired 12 s after")),
        (range(31, 60), -10, 60, ("broke", "did not fire within 30 s")),
        ((), -10, 60, ("broke", "did not fire")),
        (range(-5, 60), -10, 60, ("unknown", "before the fault already")),
        (range(12, 60), 0, 60, ("unknown", "not looked at before")),
        ((), -10, 20, ("unknown", "ended before")),
        (range(5, 20), -10, 20, ("held", "fired 5 s after")),
    ],
)
def test_when_an_alert_counts(
    cast: Cast, fires: range, looked_from: int, ended_s: int, expected: tuple[str, str]
) -> None:
    injection = start_gameday(actor=cast.erik, gameday=book(cast))
    injection.bitten_at = BITTEN
    probe = _probe(cast, ProbeKind.ALERT_EXPECTED)
    for start in range(-10, ended_s, 10):
        samples = [
            [(second - start) * 1000, int(second in fires), 1, 1.0, ""]
            for second in range(start, start + 10)
            if second >= looked_from
        ]
        at = BITTEN + dt.timedelta(seconds=start)
        SampleBlock.objects.create(
            injection=injection, probe=probe, fence=1, started_at=at, samples=samples
        )
    line = judge_alert(injection, probe, ended_at=BITTEN + dt.timedelta(seconds=ended_s))
    result, said = expected
    assert line["result"] == result
    assert said in line["sentence"]


def test_an_alert_that_nobody_could_look_at_is_unknown(cast: Cast) -> None:
    injection = start_gameday(actor=cast.erik, gameday=book(cast))
    injection.bitten_at = timezone.now()
    probe = _probe(cast, ProbeKind.ALERT_EXPECTED)
    SampleBlock.objects.create(
        injection=injection,
        probe=probe,
        fence=1,
        started_at=injection.bitten_at - dt.timedelta(seconds=10),
        samples=[[0, 0, 1, 1.0, ""], [20_000, 0, 0, None, "no answer"]],
    )
    ended_at = injection.bitten_at + dt.timedelta(seconds=60)
    assert judge_alert(injection, probe, ended_at=ended_at)["result"] == "unknown"
