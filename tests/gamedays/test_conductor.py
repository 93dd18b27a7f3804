"""The conductor's rules, with real rows and a world that is faked at its edge."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from core.choices import SlotKind
from core.errors import Conflict
from core.models import Cluster, SlotClaim
from core.operations.slots import take_slot
from gamedays.choices import ALLOWED, FINAL, InjectionState, Outcome, Verdict
from gamedays.execution import shell
from gamedays.execution.conductor import Conductor
from gamedays.execution.way_back import WayBack
from gamedays.execution.world import Run
from gamedays.models import Finding, Injection, Lease, Probe, SampleBlock
from gamedays.operations.findings import record_fix, request_verification
from gamedays.operations.runs import abort_injection, start_gameday
from tests.gamedays.fakes import FakeClock, FakeCluster, FakeGuards, FakeWatch, FakeWorld, FlakyRows
from tests.people import API, NODES, Cast, book, make_cast

pytestmark = pytest.mark.django_db
_S = InjectionState


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def fake(cast: Cast) -> FakeWorld:
    return make_fake(cast.cluster)


def make_fake(cluster: Cluster) -> FakeWorld:
    clock = FakeClock()
    guards = FakeGuards(NODES, cluster.uid)
    return FakeWorld(
        clock=clock,
        rows=FlakyRows(),
        guards=guards,
        cluster=FakeCluster(guards),
        watch=FakeWatch(clock, guards, Probe.objects.filter(cluster=cluster)),
    )


class Story:
    """One injection, conducted step by step."""

    def __init__(self, injection: Injection, fake: FakeWorld) -> None:
        self.injection = injection
        self.fake = fake
        fake.clock.at = max(fake.clock.at, injection.due_at)
        fence = shell.claim_first(injection.pk)
        assert fence is not None
        self.conductor: WayBack = Conductor(injection.pk, fence, fake.world())

    def go(self, until: Callable[[Injection], bool], *, steps: int = 2000) -> Injection:
        for _ in range(steps):
            wake = self.conductor.advance()
            self.injection.refresh_from_db(fields=["state"])
            if wake is None or until(self.injection):
                self.injection.refresh_from_db()
                return self.injection
            self.fake.clock.forward(max(wake, 0.05))
        raise AssertionError(f"still {self.injection.state}: {self.injection.reason}")

    def to(self, state: InjectionState) -> Injection:
        injection = self.go(lambda i: i.state == state)
        assert injection.state == state, (injection.state, injection.reason)
        return injection

    def to_the_end(self) -> Injection:
        return self.go(lambda i: i.state in FINAL)

    def someone_takes_over(self) -> None:
        """What the watchdog does."""
        lease = Lease.objects.get(injection=self.injection)
        fence = shell.take_over(self.injection.pk, fence=lease.fence, renewals=lease.renewals)
        assert fence is not None
        self.conductor = WayBack(self.injection.pk, fence, self.fake.world())


def begin(cast: Cast, fake: FakeWorld, **parameters: object) -> Story:
    gameday = book(cast, **parameters)  # type: ignore[arg-type]
    return Story(start_gameday(actor=cast.erik, gameday=gameday), fake)


def test_a_run_that_holds(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    live = story.to(_S.ACTIVE)
    assert fake.fault_is_on()
    assert SlotClaim.objects.filter(holder=live.pk, released_at=None).exists()
    done = story.to_the_end()
    assert (done.state, done.verdict) == (_S.CLEAN, Verdict.HELD), done.reason
    assert not fake.fault_is_on()
    assert [m.injections for m in fake.guards.machines.values()] == [0, 1, 0]
    assert not SlotClaim.objects.filter(holder=live.pk, released_at=None).exists()
    assert fake.guards.renewals >= 3
    assert SampleBlock.objects.filter(injection=done).count() >= 3
    order = (
        done.armed_at,
        done.injecting_at,
        done.bitten_at,
        done.undo_asked_at,
        done.undone_at,
        done.restored_at,
        done.ended_at,
    )
    assert list(order) == sorted(order)  # type: ignore[type-var]
    assert done.agenda_item.gameday.state == "done"


def test_row_39_what_no_worker_took_up_in_time_is_not_begun_later(
    cast: Cast, fake: FakeWorld
) -> None:
    """Its message was lost with the broker, which came back when everybody had gone home."""
    fake.clock.forward(3600)
    done = begin(cast, fake).to_the_end()
    assert done.state == _S.REFUSED
    assert "60 minutes" in done.reason
    assert fake.guards.asked == []
    assert not SlotClaim.objects.filter(holder=done.pk, released_at=None).exists()


def test_a_third_of_the_reads_fail_breaks_and_drafts_a_finding(cast: Cast, fake: FakeWorld) -> None:
    fake.watch.failing = {"api-read": 1}
    done = begin(cast, fake).to_the_end()
    assert done.verdict == Verdict.BROKE
    finding = Finding.objects.get(injection=done)
    assert finding.symptom["probe"] == "api-read"
    assert finding.symptom["min_passed_share"] == 0.99
    assert finding.symptom["measured"]["attempts"] > finding.symptom["measured"]["passed"]
    assert "failed" in finding.happened


def test_reverify_before_the_fix_recurs_and_after_it_is_the_proof(cast: Cast) -> None:
    first = make_fake(cast.cluster)
    first.watch.failing = {"api-read": 1}
    finding = Finding.objects.get(injection=begin(cast, first).to_the_end())

    def verify(fake: FakeWorld) -> Finding:
        asked = request_verification(actor=cast.erik, finding=finding)
        assert asked.injection
        Story(asked.injection, fake).to_the_end()
        finding.refresh_from_db()
        return finding

    second = make_fake(cast.cluster)
    second.watch.failing = {"api-read": 1}
    verify(second)
    outcomes = list(finding.verifications.values_list("outcome", flat=True))
    assert outcomes == [Outcome.RECURS]
    assert finding.status == "open"
    assert Finding.objects.count() == 1, "the same symptom drafts no second finding"

    verify(make_fake(cast.cluster))
    assert finding.status == "open", "a clean run without a recorded fix proves no fix"

    record_fix(
        actor=cast.erik,
        finding=finding,
        what="Check /readyz",
        link="",
        fixed_since=timezone.now(),
    )
    verify(make_fake(cast.cluster))
    assert finding.status == "verified_fixed"
    assert finding.proof is not None
    assert finding.proof.outcome == Outcome.DOES_NOT_RECUR


def test_all_api_servers_are_armed_before_any_is_touched(cast: Cast, fake: FakeWorld) -> None:
    fake.guards.machines["qa-3"].reachable = True
    story = begin(cast, fake, scenario=API)
    story.to(_S.ACTIVE)
    assert fake.guards.asked[:2] == ["arm", "inject"]
    assert all(m.injections == 1 for m in fake.guards.machines.values())
    assert story.to_the_end().verdict == Verdict.HELD


def test_a_guard_that_cannot_be_armed_disarms_the_others(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake, scenario=API)
    story.to(_S.PREFLIGHT)
    arm = fake.guards.arm

    def two_of_three(order_id, faults, credential=None, **more):  # type: ignore[no-untyped-def]
        is_drill = any(fault.kind == "drill" for fault in faults.values())
        fake.guards.machines["qa-3"].reachable = is_drill
        answers = arm(order_id, faults, credential, **more)
        fake.guards.machines["qa-3"].reachable = True
        return answers

    fake.guards.arm = two_of_three  # type: ignore[method-assign]
    done = story.to_the_end()
    assert done.verdict == Verdict.INCONCLUSIVE
    assert sum(m.injections for m in fake.guards.machines.values()) == 0
    assert all(m.order.phase == "undone" for m in fake.guards.machines.values() if m.order)


@pytest.mark.parametrize("state", [_S.ARMING, _S.ARMED, _S.INJECTING, _S.ACTIVE])
def test_whoever_takes_over_only_undoes(cast: Cast, fake: FakeWorld, state: InjectionState) -> None:
    """Rows 3, 4, 6, 7: the conductor dies in `state`, the watchdog goes on."""
    story = begin(cast, fake)
    move = fake.rows.move

    def die(run, to, **kwargs):  # type: ignore[no-untyped-def]
        moved = move(run, to, **kwargs)
        if to == state:
            raise KeyboardInterrupt
        return moved

    fake.rows.move = die  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        story.to_the_end()
    fake.rows.move = move  # type: ignore[method-assign]
    before = sum(m.injections for m in fake.guards.machines.values())
    fake.clock.forward(15)
    story.someone_takes_over()
    done = story.to_the_end()
    assert (done.state, done.verdict) == (_S.CLEAN, Verdict.INCONCLUSIVE)
    assert done.doubt
    assert not fake.fault_is_on()
    assert sum(m.injections for m in fake.guards.machines.values()) == before, "injected again"


def test_row_02_dead_before_arming_touches_nothing(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    story.to(_S.PREFLIGHT)
    story.someone_takes_over()
    done = story.to_the_end()
    assert done.state == _S.REFUSED
    assert "arm" not in fake.guards.asked


@pytest.mark.parametrize("state", [_S.UNDOING, _S.VERIFYING, _S.OBSERVING])
def test_a_takeover_after_the_fault_goes_on_to_the_verdict(
    cast: Cast, fake: FakeWorld, state: InjectionState
) -> None:
    story = begin(cast, fake)
    story.to(state)
    story.someone_takes_over()
    done = story.to_the_end()
    assert done.state == _S.CLEAN
    assert not fake.fault_is_on()


def test_row_16_five_messages_are_one_injection(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    assert [shell.claim_first(story.injection.pk) for _ in range(4)] == [None] * 4


def test_row_18_a_stale_conductor_changes_nothing(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    stale = story.conductor
    story.someone_takes_over()
    assert stale.advance() is None
    done = story.to_the_end()
    assert sum(m.injections for m in fake.guards.machines.values()) == 1
    assert stale.advance() is None
    assert done.state == _S.CLEAN


def test_row_28_the_database_refuses_a_second_fault(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    with pytest.raises(Conflict) as refused:
        take_slot(cluster=cast.cluster, kind=SlotKind.STEP, holder=uuid.uuid4())
    assert refused.value.code == "cluster_busy"
    item = story.injection.agenda_item
    with pytest.raises(IntegrityError), transaction.atomic():
        Injection.objects.create(
            agenda_item=item,
            cluster=cast.cluster,
            scenario_key="x",
            scenario_version=1,
            asked_by=cast.erik,
            due_at=story.injection.due_at,
        )


@pytest.mark.parametrize(
    "state", [_S.PLANNED, _S.PREFLIGHT, _S.ACTIVE, _S.UNDOING, _S.VERIFYING, _S.OBSERVING]
)
def test_row_37_abort_in_every_state(cast: Cast, fake: FakeWorld, state: InjectionState) -> None:
    """A viewer may abort. Clean afterwards, or refused if nothing was armed."""
    story = begin(cast, fake)
    if state != _S.PLANNED:
        story.to(state)
    abort_injection(actor=cast.vera, injection=story.injection)
    done = story.to_the_end()
    assert done.state == (_S.REFUSED if state in (_S.PLANNED, _S.PREFLIGHT) else _S.CLEAN)
    assert not fake.fault_is_on()
    if state == _S.ACTIVE:
        assert done.verdict == Verdict.INCONCLUSIVE
        assert "Aborted by vera" in done.reason


def test_an_abort_after_the_undo_ends_nothing_and_leaves_the_verdict(
    cast: Cast, fake: FakeWorld
) -> None:
    """The fault had its whole hold, so what was measured counts; the click is kept."""
    story = begin(cast, fake)
    story.to(_S.VERIFYING)
    abort_injection(actor=cast.vera, injection=story.injection)
    done = story.to_the_end()
    assert (done.verdict, done.doubt) == (Verdict.HELD, "")
    assert done.abort_requested_by == cast.vera
    assert done.timeline.filter(data__abort="requested").exists()


def test_row_37_an_abort_at_the_moment_of_injecting_wins(cast: Cast, fake: FakeWorld) -> None:
    """The conductor has read the row as `armed`, then somebody clicks, then it goes on."""
    story = begin(cast, fake)
    move = fake.rows.move

    def click_between(run: Run, to: InjectionState, **changes: Any) -> Run | None:
        if to == _S.INJECTING and run.abort_requested_at is None:
            abort_injection(actor=cast.vera, injection=story.injection)
        return move(run, to, **changes)

    fake.rows.move = click_between  # type: ignore[method-assign]
    done = story.to_the_end()
    assert (done.state, done.injecting_at) == (_S.CLEAN, None)
    assert sum(m.injections for m in fake.guards.machines.values()) == 0
    assert done.doubt.startswith("Aborted by vera")


def test_every_state_has_its_way_and_final_states_have_none() -> None:
    assert set(ALLOWED) == set(InjectionState)
    for state in (_S.ARMING, _S.ARMED, _S.INJECTING, _S.ACTIVE):
        assert _S.UNDOING in ALLOWED[state]
        assert not ALLOWED[state] & FINAL, "from arming on nothing ends without an undo"
