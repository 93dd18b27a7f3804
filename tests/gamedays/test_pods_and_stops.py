"""Mass termination, pods that come back late, and probes that end a fault by themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.utils import timezone

from gamedays.choices import Alarm, FindingStatus, InjectionState, Outcome, Severity, Verdict
from gamedays.drivers.cluster import PodSighting
from gamedays.models import Finding, Probe, Verification
from gamedays.operations.findings import record_fix, request_verification
from gamedays.operations.runs import abort_injection
from gamedays.scenarios.plan import NodeFault, ObjectTarget, PodName
from gamedays.scenarios.registry import get_scenario
from tests.gamedays.fakes import FakeWorld
from tests.gamedays.test_conductor import Story, begin, make_fake
from tests.people import API, ETCD, Cast, make_cast

pytestmark = [pytest.mark.django_db, pytest.mark.long]
_S = InjectionState


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def fake(cast: Cast) -> FakeWorld:
    return crowded(make_fake(cast.cluster))


def crowded(fake: FakeWorld) -> FakeWorld:
    """Ten pods instead of three."""
    fake.watch.pods = tuple(
        PodSighting(
            uid=f"uid-{number}",
            node=f"qa-{number % 3 + 1}",
            namespace="shop",
            name=f"pod-{number}",
            phase="Running",
            ready=True,
            restarts=0,
        )
        for number in range(10)
    )
    return fake


def mass_termination(cast: Cast, fake: FakeWorld) -> tuple[Verification, Story]:
    """Half of the pods were terminated, a fix is recorded, and its re-verification begins."""
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    fake.watch.pods = fake.watch.pods[:5]
    finding = Finding.objects.get(injection=story.to_the_end())
    record_fix(actor=cast.erik, finding=finding, what="x", link="", fixed_since=timezone.now())
    asked = request_verification(actor=cast.erik, finding=finding)
    assert asked.injection
    return asked, Story(asked.injection, crowded(make_fake(cast.cluster)))


def test_a_fifth_of_the_pods_terminated_is_an_alarm_while_it_happens(
    cast: Cast, fake: FakeWorld
) -> None:
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    fake.watch.pods = fake.watch.pods[2:]
    told = story.go(lambda i: i.timeline.filter(data__alarm=Alarm.MASS_TERMINATION).exists())
    assert told.state == _S.ACTIVE
    done = story.to_the_end()
    assert done.timeline.filter(data__alarm=Alarm.MASS_TERMINATION).count() == 1
    assert done.verdict == Verdict.BROKE
    finding = Finding.objects.get(injection=done)
    assert finding.symptom["kind"] == "terminations"
    assert finding.severity == Severity.CRITICAL
    for name in ("shop/pod-0", "shop/pod-1"):
        assert name in finding.happened
    assert "shop/pod-2" not in finding.happened


def test_fewer_than_a_fifth_are_lost_pods_and_no_mass(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    fake.watch.pods = fake.watch.pods[1:]
    done = story.to_the_end()
    assert not done.timeline.filter(data__alarm=Alarm.MASS_TERMINATION).exists()
    assert Finding.objects.get(injection=done).symptom["kind"] == "pods"


def test_evicted_pods_count_although_the_api_still_lists_them(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    story.to(_S.OBSERVING)
    evicted = [
        replace(pod, phase="Failed", ready=False, reason="Evicted") for pod in fake.watch.pods[:3]
    ]
    fake.watch.pods = (*evicted, *fake.watch.pods[3:])
    done = story.to_the_end()
    finding = Finding.objects.get(injection=done, symptom__kind="terminations")
    assert "Evicted" in finding.happened


def test_pods_that_had_failed_before_the_fault_are_none_of_its_dead(
    cast: Cast, fake: FakeWorld
) -> None:
    """The API lists evicted pods for as long as nobody clears them away."""
    evicted = [
        replace(pod, uid=f"old-{pod.uid}", phase="Failed", ready=False, reason="Evicted")
        for pod in fake.watch.pods[:4]
    ]
    fake.watch.pods = (*fake.watch.pods, *evicted)
    done = begin(cast, fake, observe_s=120).to_the_end()
    assert done.verdict == Verdict.HELD, done.reason
    [line] = [line for line in done.judgement if line["key"] == "mass-termination"]
    assert line["measured"]["before"] == 10


def test_mass_termination_drafts_its_finding_in_an_aborted_run_too(
    cast: Cast, fake: FakeWorld
) -> None:
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    fake.watch.pods = fake.watch.pods[:5]
    story.go(lambda i: i.timeline.filter(data__alarm=Alarm.MASS_TERMINATION).exists())
    abort_injection(actor=cast.vera, injection=story.injection)
    done = story.to_the_end()
    assert done.verdict == Verdict.INCONCLUSIVE
    assert Finding.objects.get(injection=done).symptom["kind"] == "terminations"


def test_a_mass_termination_that_nobody_could_have_seen_again_is_not_proved_fixed(
    cast: Cast, fake: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, again = mass_termination(cast, fake)
    again.to(_S.ACTIVE)
    monkeypatch.setattr(again.fake.watch, "drain_census", lambda: None)  # nobody lists them now
    done = again.to_the_end()
    assert done.verdict == Verdict.INCONCLUSIVE
    asked.refresh_from_db()
    assert asked.outcome == Outcome.INCONCLUSIVE
    assert "not seen by the API again" in asked.explanation
    assert asked.finding.status == FindingStatus.FIX_READY


def test_a_mass_termination_that_was_fixed_is_verified(cast: Cast, fake: FakeWorld) -> None:
    asked, again = mass_termination(cast, fake)
    again.to_the_end()
    asked.refresh_from_db()
    assert asked.outcome == Outcome.DOES_NOT_RECUR
    assert asked.finding.status == FindingStatus.VERIFIED_FIXED


def test_what_the_fault_itself_ends_is_expected() -> None:
    scenario = get_scenario(API)
    victim = ObjectTarget(
        kind="pod",
        namespace="shop",
        name="shop-7d9-abc",
        uid="u-1",
        resource_version="1",
        change="delete-pod",
    )
    scaled = replace(victim, kind="deployment", name="web", uid="d", change="scale-to-zero")
    faults = {
        "qa-1": NodeFault(kind="hold", hold_s=9, component="etcd"),
        "qa-2": NodeFault(kind="object", hold_s=9, objects=(victim, scaled)),
    }

    def expected(namespace: str, name: str, uid: str = "", node: str = "qa-3") -> bool:
        pod = PodName(node=node, namespace=namespace, name=name, uid=uid)
        return scenario.expects_death(pod, faults)

    assert expected("kube-system", "etcd-qa-1", node="qa-1")
    assert not expected("kube-system", "etcd-qa-2", node="qa-2")
    assert expected("shop", "shop-7d9-abc", "u-1")
    assert not expected("shop", "shop-7d9-def", "u-2")
    assert expected("shop", "web-54f7b-xyz12")
    assert not expected("shop", "web-admin-54f7b-xyz12")
    assert not expected("other", "web-54f7b-xyz12")


def test_a_crash_loop_at_the_end_is_broke_with_its_reason(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake, scenario=API)
    story.to(_S.OBSERVING)
    looping = replace(fake.watch.pods[0], ready=False, restarts=7, reason="CrashLoopBackOff")
    fake.watch.pods = (looping, *fake.watch.pods[1:])
    done = story.to_the_end()
    assert done.verdict == Verdict.BROKE
    [line] = [line for line in done.judgement if line["key"] == "pods"]
    assert "shop/pod-0 (CrashLoopBackOff)" in line["sentence"]
    assert Finding.objects.get(injection=done).happened == line["sentence"]


def test_a_crash_loop_that_ended_before_the_watching_did_is_told_all_the_same(
    cast: Cast, fake: FakeWorld
) -> None:
    story = begin(cast, fake, scenario=API, observe_s=300)
    story.to(_S.OBSERVING)
    well = fake.watch.pods
    looping = replace(well[0], ready=False, restarts=7, reason="CrashLoopBackOff")
    fake.watch.pods = (looping, *well[1:])
    began = fake.clock.ticks
    story.go(lambda _i: fake.clock.ticks - began > 200, steps=4000)
    fake.watch.pods = (replace(well[0], restarts=7), *well[1:])
    done = story.to_the_end()
    assert done.verdict == Verdict.BROKE
    [late] = next(line for line in done.judgement if line["key"] == "pods")["measured"]["late"]
    assert late["reason"] == "CrashLoopBackOff"
    assert late["restarts"] == 7
    assert 180 < late["unready_s"] <= 205


def test_a_pod_that_is_back_soon_after_the_restore_is_not_late(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake, scenario=API, observe_s=120)
    story.to(_S.OBSERVING)
    well = fake.watch.pods
    fake.watch.pods = (replace(well[0], ready=False), *well[1:])
    began = fake.clock.ticks
    story.go(lambda _i: fake.clock.ticks - began > 30)
    fake.watch.pods = well
    assert story.to_the_end().verdict == Verdict.HELD


def _abort_when(cast: Cast, key: str, seconds: int) -> None:
    Probe.objects.filter(cluster=cast.cluster, key=key).update(abort_after_s=seconds)


def test_a_probe_that_is_marked_ends_the_fault_by_itself(cast: Cast) -> None:
    _abort_when(cast, "api-write", 5)
    fake = make_fake(cast.cluster)
    fake.watch.failing = {"api-write": 1}
    story = begin(cast, fake, hold_s=120)
    live = story.to(_S.ACTIVE)
    assert live.bitten_at
    done = story.to_the_end()
    assert done.undo_asked_at
    assert (done.undo_asked_at - live.bitten_at).total_seconds() < 15
    assert done.verdict == Verdict.BROKE, done.reason
    [alarm] = done.timeline.filter(data__alarm=Alarm.STOP_CONDITION)
    assert "api-write" in alarm.text
    assert not done.doubt
    assert Finding.objects.filter(injection=done, symptom__kind="stop").exists()


def test_a_good_second_in_between_starts_the_count_anew(cast: Cast) -> None:
    _abort_when(cast, "api-write", 5)
    fake = make_fake(cast.cluster)
    story = begin(cast, fake, hold_s=30)
    story.to(_S.ACTIVE)
    for _ in range(5):
        fake.watch.failing = {"api-write": 1}
        at = fake.clock.ticks
        story.go(lambda _i, at=at: fake.clock.ticks - at >= 3.5)  # type: ignore[misc]
        fake.watch.failing = {}
        at = fake.clock.ticks
        story.go(lambda _i, at=at: fake.clock.ticks - at >= 1.5)  # type: ignore[misc]
    done = story.to_the_end()
    assert not done.timeline.filter(data__alarm=Alarm.STOP_CONDITION).exists()


def test_unknown_seconds_end_nothing(cast: Cast) -> None:
    _abort_when(cast, "api-write", 5)
    fake = make_fake(cast.cluster)
    story = begin(cast, fake, scenario=ETCD)
    story.to(_S.ACTIVE)
    fake.watch.silent = {"api-write"}
    done = story.to_the_end()
    assert not done.timeline.filter(data__alarm=Alarm.STOP_CONDITION).exists()
    assert done.verdict == Verdict.INCONCLUSIVE
