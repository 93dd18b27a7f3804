"""What people's own probes mean for a verdict: bounds that they set, and alerts that must fire."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone

from gamedays.choices import FindingStatus, InjectionState, MustHold, Outcome, ProbeKind, Verdict
from gamedays.execution.judge_alerts import Answer, Look, judge_looks
from gamedays.execution.world import Sample
from gamedays.models import Finding, Injection, Probe
from gamedays.operations.findings import record_fix, request_verification
from gamedays.operations.runs import start_gameday
from gamedays.selectors.words import symptom_sentence
from tests.gamedays.fakes import FakeWorld
from tests.gamedays.test_conductor import Story, begin, make_fake
from tests.people import Cast, book, make_cast

BITTEN = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)


def at(second: float) -> dt.datetime:
    return BITTEN + dt.timedelta(seconds=second)


def looks(
    *, firing: range = range(0), pending: range = range(0), seen: range = range(-10, 120)
) -> list[Look]:
    """A look a second; the ranges are seconds after the bite."""
    return [Look(at=at(s), firing=s in firing, pending=s in pending) for s in seen]


def judged(found: list[Look], **marks: Any) -> Answer:
    values: dict[str, Any] = {
        "injecting": at(-2),
        "bitten": at(0),
        "undo_asked": at(90),
        "ended": at(120),
    }
    return judge_looks(found, title="ShopIsDown", within_s=60, **(values | marks))


def test_an_alert_that_fires_in_its_time() -> None:
    answer = judged(looks(pending=range(3, 8), firing=range(8, 100)))
    assert (answer.result, answer.fired_after_s) == ("held", 8)
    early = judged(looks(firing=range(-1, 100)))
    assert (early.result, early.fired_after_s) == ("held", 0), "fired while the bite was looked for"


def test_an_alert_that_is_silent_or_late_broke_its_promise() -> None:
    assert judged(looks()).result == "broke"
    late = judged(looks(firing=range(75, 120)))
    assert (late.result, late.fired_after_s) == ("broke", 75)


@pytest.mark.parametrize(
    "found",
    [
        looks(firing=range(-10, 120)),
        looks(firing=range(-10, -5)),
        looks(pending=range(-4, 8), firing=range(8, 120)),
        looks(firing=range(8, 120), seen=range(120)),
        looks(seen=range(-10, 30)),
        [],
    ],
    ids=["firing-before", "fired-before", "pending-before", "not-seen-before", "gap", "nothing"],
)
def test_what_says_nothing_about_this_fault_is_unknown(found: list[Look]) -> None:
    assert judged(found).result == "unknown"


def test_a_fault_that_was_too_short_for_the_alert_is_unknown() -> None:
    short = judged(looks(), undo_asked=at(20))
    assert short.result == "unknown"
    assert "hold the fault for longer" in short.sentence
    assert judged(looks(firing=range(8, 20)), undo_asked=at(20)).result == "held"
    assert judged(looks(), undo_asked=None, ended=at(40)).result == "unknown"
    assert judged(looks(firing=range(8, 99)), bitten=None).result == "unknown"


# -- whole runs -------------------------------------------------------------------------------


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def add(cast: Cast, key: str, kind: ProbeKind, **fields: Any) -> Probe:
    return Probe.objects.create(cluster=cast.cluster, key=key, title=key, kind=kind, **fields)


def alert(cast: Cast, within_s: int = 10) -> Probe:
    parameters = {"alert": "ShopIsDown", "within_s": within_s}
    return add(
        cast,
        "told",
        ProbeKind.ALERT_EXPECTED,
        parameters=parameters,
        must_hold=MustHold.THROUGHOUT,
    )


def fires(fake: FakeWorld, probe: Probe, *, after_s: float | None) -> None:
    """The alert fires so long after the fault was first on; None: never; negative: always."""
    drain = fake.watch.drain_samples
    began: list[dt.datetime] = []

    def told(sample: Sample) -> Sample:
        if sample.probe_id != probe.pk or not sample.attempts:
            return sample
        if fake.fault_is_on() and not began:
            began.append(sample.at)
        on = after_s is not None and (
            after_s < 0 or bool(began and (sample.at - began[0]).total_seconds() >= after_s)
        )
        return replace(sample, passed=int(on), detail="" if on else "not firing")

    fake.watch.drain_samples = lambda: [told(s) for s in drain()]  # type: ignore[method-assign]


def line_of(run: Injection, probe: str) -> dict[str, Any]:
    return next(line for line in run.judgement if line["probe"] == probe)


def test_a_silent_alert_refuses_no_fault_and_is_judged_by_itself(cast: Cast) -> None:
    probe = alert(cast)
    fake = make_fake(cast.cluster)
    fires(fake, probe, after_s=4)
    done = begin(cast, fake).to_the_end()
    assert done.verdict == Verdict.HELD, done.reason
    assert line_of(done, "told")["result"] == "held"
    assert 2 <= line_of(done, "told")["measured"]["fired_after_s"] <= 6


def test_an_alert_that_nobody_can_look_at_refuses_the_fault(cast: Cast) -> None:
    probe = alert(cast)
    fake = make_fake(cast.cluster)
    fake.watch.silent.add(probe.key)
    done = begin(cast, fake).to_the_end()
    assert done.state == InjectionState.REFUSED
    assert "could not be looked at" in done.reason


def test_an_alert_that_fired_before_makes_the_run_inconclusive(cast: Cast) -> None:
    probe = alert(cast)
    fake = make_fake(cast.cluster)
    fires(fake, probe, after_s=-1)
    done = begin(cast, fake).to_the_end()
    assert done.verdict == Verdict.INCONCLUSIVE
    assert "was firing before the fault already" in done.reason


def test_nobody_was_told_becomes_a_finding_and_its_fix_is_proved(cast: Cast) -> None:
    probe = alert(cast)
    fake = make_fake(cast.cluster)
    fires(fake, probe, after_s=None)
    done = begin(cast, fake).to_the_end()
    assert done.verdict == Verdict.BROKE
    finding = Finding.objects.get(injection=done)
    assert "did not fire within 10 s" in finding.title
    assert symptom_sentence(finding) == "“told” must fire within 10 s of the bite."

    def verify(after_s: float | None) -> str:
        asked = request_verification(actor=cast.erik, finding=finding)
        assert asked.injection
        again = make_fake(cast.cluster)
        fires(again, probe, after_s=after_s)
        Story(asked.injection, again).to_the_end()
        asked.refresh_from_db()
        finding.refresh_from_db()
        return asked.outcome

    assert verify(None) == Outcome.RECURS
    what = "The rule watches the right job."
    record_fix(actor=cast.erik, finding=finding, what=what, link="", fixed_since=timezone.now())
    assert verify(3) == Outcome.DOES_NOT_RECUR
    assert finding.status == FindingStatus.VERIFIED_FIXED


@pytest.mark.parametrize(
    ("must_hold", "verdict"),
    [
        (MustHold.THROUGHOUT, Verdict.BROKE),
        (MustHold.AFTERWARDS, Verdict.HELD),
        (MustHold.SCENARIO, Verdict.HELD),
    ],
)
def test_a_probe_of_ones_own_is_judged_when_its_maker_says(
    cast: Cast, must_hold: MustHold, verdict: Verdict
) -> None:
    add(cast, "orders-db", ProbeKind.TCP, must_hold=must_hold)
    fake = make_fake(cast.cluster)
    fake.watch.failing["orders-db"] = 1
    done = begin(cast, fake).to_the_end()
    assert done.verdict == verdict, done.reason
    keys = [line["key"] for line in done.judgement if line["probe"] == "orders-db"]
    assert keys == ([] if must_hold == MustHold.SCENARIO else ["must-hold:orders-db"])


def test_what_a_user_feels_is_traffic_whatever_its_kind(cast: Cast) -> None:
    """A cluster whose users speak TCP, or whose error rate Prometheus knows, can be judged too."""
    Probe.objects.filter(cluster=cast.cluster, kind=ProbeKind.HTTP).delete()
    add(cast, "orders-db", ProbeKind.TCP, felt_by_users=True)
    held = begin(cast, make_fake(cast.cluster)).to_the_end()
    assert held.verdict == Verdict.HELD, held.reason
    fake = make_fake(cast.cluster)
    fake.watch.failing["orders-db"] = 1
    gameday = book(cast, starts_in=dt.timedelta(hours=3))
    broke = Story(start_gameday(actor=cast.erik, gameday=gameday), fake).to_the_end()
    assert broke.verdict == Verdict.BROKE
    assert line_of(broke, "orders-db")["key"] == "traffic:orders-db"
