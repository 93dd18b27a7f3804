"""Ways in which a run could be called green, or a finding closed, without anybody having looked."""

from __future__ import annotations

import dataclasses
import datetime as dt
from dataclasses import replace

import pytest
from django.utils import timezone

from core.errors import ClusterRefused, DomainError
from core.models import SlotClaim
from core.names import refuse_production_name
from gamedays.choices import FindingStatus, InjectionState, Outcome, PodSource, Verdict
from gamedays.drivers.fleet import Phase, Reply, UndoReason
from gamedays.execution import restoration, shell
from gamedays.execution.world import PodCensus
from gamedays.models import Finding, Guard, Probe, Verification
from gamedays.operations.findings import record_fix, request_verification
from gamedays.operations.runs import abort_injection, start_gameday
from tests.gamedays.fakes import FakeWorld
from tests.gamedays.test_conductor import Story, begin, make_fake
from tests.people import Cast, book, make_cast

pytestmark = pytest.mark.django_db
_S = InjectionState


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def fake(cast: Cast) -> FakeWorld:
    return make_fake(cast.cluster)


def _nobody_can_list_pods(fake: FakeWorld) -> None:
    """From now on no API server lists pods, and no guard can look either."""

    count = fake.watch.drain_census

    def drain() -> PodCensus | None:
        return count() and PodCensus(
            at=fake.clock.now(),
            source=PodSource.GUARD,
            pods=(),
            unseen_nodes=tuple(fake.guards.nodes),
        )

    fake.watch.drain_census = drain  # type: ignore[method-assign]


def test_pods_that_nobody_saw_at_the_end_are_unknown_and_not_held(
    cast: Cast, fake: FakeWorld
) -> None:
    story = begin(cast, fake, observe_s=60)
    story.to(_S.ACTIVE)
    _nobody_can_list_pods(fake)
    done = story.to_the_end()
    assert done.verdict == Verdict.INCONCLUSIVE
    assert "not seen" in done.reason


def test_a_finding_about_pods_is_not_closed_by_a_run_that_saw_none(cast: Cast) -> None:
    first = make_fake(cast.cluster)
    story = begin(cast, first, observe_s=60)
    story.to(_S.ACTIVE)
    first.watch.pods = first.watch.pods[:2]
    finding = Finding.objects.get(injection=story.to_the_end(), symptom__kind="pods")
    record_fix(actor=cast.erik, finding=finding, what="x", link="", fixed_since=timezone.now())
    asked = request_verification(actor=cast.erik, finding=finding)
    assert asked.injection
    second = make_fake(cast.cluster)
    again = Story(asked.injection, second)
    again.to(_S.ACTIVE)
    _nobody_can_list_pods(second)
    again.to_the_end()
    asked.refresh_from_db()
    finding.refresh_from_db()
    assert asked.outcome == Outcome.INCONCLUSIVE
    assert finding.status == FindingStatus.FIX_READY


def test_what_was_believed_and_has_no_probe_is_unknown(cast: Cast, fake: FakeWorld) -> None:
    """The hypothesis speaks of writes; without a probe that writes it did not hold."""
    Probe.objects.filter(cluster=cast.cluster, key="api-write").update(enabled=False)
    fake.watch.probes = tuple(p for p in fake.watch.probes if p.key != "api-write")
    done = begin(cast, fake).to_the_end()
    assert done.verdict == Verdict.INCONCLUSIVE
    assert "no probe" in done.reason


@pytest.mark.long
def test_a_fault_that_a_silent_guard_ended_early_is_not_held(cast: Cast, fake: FakeWorld) -> None:
    """Cut off from its guard, which undoes at its lease; healed in time for our own undo."""
    story = begin(cast, fake, hold_s=120)
    story.to(_S.ACTIVE)
    machine = fake.guards.machines["qa-2"]
    machine.reachable = False
    start = fake.clock.ticks
    story.go(lambda _i: fake.clock.ticks - start > 60)
    assert story.injection.state == _S.ACTIVE
    machine.pids["etcd"] = 500
    assert machine.order
    machine.order = replace(machine.order, phase=Phase.UNDONE, undo_reason=UndoReason.LEASE)
    story.go(lambda i: i.state == _S.UNDOING)
    machine.reachable = True
    done = story.to_the_end()
    assert done.verdict == Verdict.INCONCLUSIVE
    assert "by itself" in done.reason


def test_a_fault_whose_order_its_guard_has_lost_is_not_held(cast: Cast, fake: FakeWorld) -> None:
    """Its journal was damaged and it was restarted: it put the manifest back in mid-hold, and
    knows nothing else of it any more."""
    story = begin(cast, fake, hold_s=120)
    story.to(_S.ACTIVE)
    machine = fake.guards.machines["qa-2"]
    machine.pids["etcd"], machine.order = 500, None
    done = story.to_the_end()
    assert (done.state, done.verdict) == (_S.CLEAN, Verdict.INCONCLUSIVE), done.reason
    assert "has lost the order" in done.reason


@pytest.mark.long
def test_a_run_that_raised_an_alarm_is_not_held(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    fake.guards.machines["qa-1"].healthy = False
    story.to(_S.UNDO_STUCK)
    fake.guards.machines["qa-1"].healthy = True
    done = story.to_the_end()
    assert done.verdict == Verdict.INCONCLUSIVE
    assert "alarm" in done.reason


def test_a_fix_that_a_run_disproved_closes_nothing(cast: Cast) -> None:
    first = make_fake(cast.cluster)
    first.watch.failing = {"api-read": 1}
    finding = Finding.objects.get(injection=begin(cast, first).to_the_end())

    def verify(*, failing: bool) -> Verification:
        asked = request_verification(actor=cast.erik, finding=finding)
        assert asked.injection
        fake = make_fake(cast.cluster)
        fake.watch.failing = {"api-read": 1} if failing else {}
        Story(asked.injection, fake).to_the_end()
        asked.refresh_from_db()
        finding.refresh_from_db()
        return asked

    def fix() -> None:
        record_fix(actor=cast.erik, finding=finding, what="x", link="", fixed_since=timezone.now())

    fix()
    assert verify(failing=True).outcome == Outcome.RECURS
    lucky = verify(failing=False)
    assert lucky.outcome == Outcome.DOES_NOT_RECUR
    assert lucky.after_fix is None
    assert finding.status != FindingStatus.VERIFIED_FIXED
    fix()
    verify(failing=False)
    assert finding.status == FindingStatus.VERIFIED_FIXED


def test_row_24_a_stepped_clock_does_not_end_the_watching(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake, observe_s=60)
    story.to(_S.OBSERVING)
    began = fake.clock.ticks
    fake.clock.at += dt.timedelta(hours=1)
    story.to_the_end()
    assert fake.clock.ticks - began >= 60


def test_a_component_that_a_guard_leaves_out_is_not_restored(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    story.to(_S.VERIFYING)
    status = fake.guards.status

    def without_etcd():  # type: ignore[no-untyped-def]
        return {
            node: Reply(dataclasses.replace(reply.value, components=reply.value.components[:1]))
            for node, reply in status().items()
            if reply.value
        }

    fake.guards.status = without_etcd  # type: ignore[method-assign]
    run = fake.rows.read(story.injection.pk, 1)
    assert run
    checks = restoration.look(run, fake.world())
    assert any(check.passed is None for check in checks)


def test_the_proof_names_what_was_looked_at_and_no_more(cast: Cast, fake: FakeWorld) -> None:
    """A scheduler that ended by itself is the ledger's to tell, and so it is not called healthy."""
    story = begin(cast, fake)
    story.to(_S.VERIFYING)
    status = fake.guards.status

    def without_scheduler():  # type: ignore[no-untyped-def]
        return {
            node: Reply(
                dataclasses.replace(
                    reply.value,
                    components=[
                        dataclasses.replace(part, processes=[], healthy=False)
                        if part.component == "kube-scheduler"
                        else part
                        for part in reply.value.components
                    ],
                )
            )
            for node, reply in status().items()
            if reply.value
        }

    fake.guards.status = without_scheduler  # type: ignore[method-assign]
    told = story.to(_S.OBSERVING).timeline.get(kind="evidence", data__state=_S.OBSERVING).text
    assert "etcd and kube-apiserver run and are healthy on all 3 nodes" in told
    assert "the 3 etcd members are the same and have a leader" in told
    assert "every component" not in told
    assert "scheduler" not in told


def test_a_cluster_that_cannot_be_conducted_gives_its_slot_back(cast: Cast) -> None:
    """A guard whose stored certificate cannot be read: refused, not planned for ever."""
    node = cast.cluster.nodes.get(name="qa-1")
    Guard.objects.create(
        node=node,
        address=node.address,
        port=1,
        certificate_pem="no certificate",
        client_key_encrypted="no key",
        installed_at=timezone.now(),
    )
    injection = start_gameday(actor=cast.erik, gameday=book(cast))
    fence = shell.claim_first(injection.pk)
    assert fence is not None
    with pytest.raises(DomainError, match="stored credential cannot be read"):
        shell.conduct(injection.pk, fence, shell.Stopping())
    injection.refresh_from_db()
    assert injection.state == _S.REFUSED
    assert not SlotClaim.objects.filter(cluster=cast.cluster, released_at=None).exists()


def test_a_delivered_abort_before_arming_names_who_asked(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    story.to(_S.PREFLIGHT)
    abort_injection(actor=cast.vera, injection=story.injection)
    story.someone_takes_over()
    assert "Aborted by vera" in story.to_the_end().reason


@pytest.mark.parametrize("name", ["node1.prod.example.com", "api.live.example.com", "my_prod"])
def test_production_is_recognised_in_host_names_too(name: str) -> None:
    with pytest.raises(ClusterRefused):
        refuse_production_name(name)


@pytest.mark.parametrize("name", ["qa-range", "product-qa", "olive", "127.0.0.1", ""])
def test_other_names_pass(name: str) -> None:
    refuse_production_name(name)
