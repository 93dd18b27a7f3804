"""Every scenario, conducted from preflight to its verdict in the world of the fakes."""

from __future__ import annotations

import uuid

import pytest

from gamedays.choices import InjectionState, Verdict
from gamedays.execution import shell
from gamedays.models import Injection
from gamedays.scenarios.plan import Endpoint, ObjectTarget
from tests.gamedays.fakes import FakeWorld
from tests.gamedays.test_conductor import Story, begin, make_fake
from tests.people import ETCD, Cast, make_cast

pytestmark = pytest.mark.django_db
_S = InjectionState
PLACES = (Endpoint(address="10.96.0.7", port=5000), Endpoint(address="10.244.1.9", port=5000))
REGISTRY, ENVOY = "registry-unusable", "envoy-control-plane-down"


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def fake(cast: Cast) -> FakeWorld:
    fake = make_fake(cast.cluster)
    for name in ("registry/registry", "projectcontour/contour"):
        namespace, _slash, short = name.partition("/")
        fake.cluster.services[name] = PLACES
        fake.cluster.objects[name] = ObjectTarget(
            kind="deployment",
            namespace=namespace,
            name=short,
            uid=str(uuid.uuid4()),
            resource_version="7",
            change="scale-to-zero",
        )
    return fake


@pytest.mark.parametrize(
    ("scenario", "parameters", "hit"),
    [
        ("bad-control-plane-flag", {"node": "qa-2", "flag": "etcd-elsewhere"}, [0, 1, 0]),
        ("bad-control-plane-flag", {"node": "qa-1", "flag": "unknown-scheduler-flag"}, [1, 0, 0]),
        ("scheduler-down", {}, [1, 1, 1]),
        ("scheduler-down", {"mode": "kill"}, [1, 1, 1]),
        ("controller-manager-down", {}, [1, 1, 1]),
        (REGISTRY, {"mode": "cut"}, [1, 1, 1]),
        (ENVOY, {"mode": "cut"}, [1, 1, 1]),
    ],
)
def test_a_fault_bites_is_undone_and_proved(
    cast: Cast, fake: FakeWorld, scenario: str, parameters: dict[str, object], hit: list[int]
) -> None:
    story = begin(cast, fake, scenario=scenario, **parameters)
    live = story.to(_S.ACTIVE)
    assert [m.injections for m in fake.guards.machines.values()] == hit
    assert live.timeline.filter(text__startswith="The fault is").exists()
    done = story.to_the_end()
    assert (done.state, done.verdict) == (_S.CLEAN, Verdict.HELD), done.reason
    assert not fake.fault_is_on()
    assert [m.injections for m in fake.guards.machines.values()] == hit


def test_a_guard_that_is_too_old_for_the_fault_is_refused_before_arming(
    cast: Cast, fake: FakeWorld
) -> None:
    fake.guards.machines["qa-2"].protocol = 1
    done = begin(cast, fake, scenario=REGISTRY, mode="cut").to_the_end()
    assert done.state == _S.REFUSED
    assert "guard on qa-2 (version 1) speaks protocol 1" in done.reason
    assert "guard install" in done.reason
    assert fake.guards.asked == []


def test_an_old_guard_that_gets_no_order_is_in_nobodys_way(cast: Cast, fake: FakeWorld) -> None:
    fake.guards.machines["qa-1"].protocol = 1
    done = begin(cast, fake, scenario=ETCD, node="qa-2").to_the_end()
    assert done.state == _S.CLEAN, done.reason


def test_what_an_old_guard_holds_is_undone_all_the_same(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake, scenario=REGISTRY, mode="cut")
    story.to(_S.ACTIVE)
    for machine in fake.guards.machines.values():
        machine.protocol = 1
    story.someone_takes_over()
    assert story.to_the_end().state == _S.CLEAN
    assert not fake.fault_is_on()


def _checks(run: Injection) -> dict[str, object]:
    entry = run.timeline.filter(data__has_key="checks").last()
    assert entry
    return {check["name"]: check["passed"] for check in entry.data["checks"]}


def test_a_bad_flag_is_restored_only_with_the_bytes_of_before_and_a_new_process(
    cast: Cast, fake: FakeWorld
) -> None:
    story = begin(cast, fake, scenario="bad-control-plane-flag", node="qa-2", flag="etcd-elsewhere")
    story.to(_S.VERIFYING)
    old = 10
    machine = fake.guards.machines["qa-2"]
    machine.pids["kube-apiserver"] = old  # as if the guard had only said that it undid it
    began = fake.clock.ticks
    story.go(lambda _i: fake.clock.ticks - began > 5)
    assert story.injection.state == _S.VERIFYING
    machine.pids["kube-apiserver"] = 777
    done = story.to_the_end()
    assert _checks(done)["manifest:qa-2:kube-apiserver"] is True
    assert done.verdict == Verdict.HELD


def test_a_cut_is_restored_only_when_every_kernel_lists_nothing(
    cast: Cast, fake: FakeWorld
) -> None:
    story = begin(cast, fake, scenario=REGISTRY)
    story.to(_S.VERIFYING)
    machine = fake.guards.machines["qa-3"]
    for left in (["10.96.0.7 . 5000"], None):
        machine.cuts = left
        began = fake.clock.ticks
        story.go(lambda _i, began=began: fake.clock.ticks - began > 5)  # type: ignore[misc]
        assert story.injection.state == _S.VERIFYING, "unknown is never restored"
    machine.cuts = []
    done = story.to_the_end()
    assert _checks(done)["cuts:qa-3"] is True


def test_a_worker_is_cut_off_too_and_has_to_be_seen_free_again(cast: Cast, fake: FakeWorld) -> None:
    fake.cluster.control_plane = ["qa-1", "qa-2"]
    story = begin(cast, fake, scenario=REGISTRY)
    story.to(_S.VERIFYING)
    worker = fake.guards.machines["qa-3"]
    assert worker.injections == 1
    worker.reachable = False
    began = fake.clock.ticks
    story.go(lambda _i: fake.clock.ticks - began > 5)
    assert story.injection.state == _S.VERIFYING
    worker.reachable = True
    assert _checks(story.to_the_end())["cuts:qa-3"] is True


def waits_in_verifying(story: Story) -> None:
    began = story.fake.clock.ticks
    story.go(lambda _i: story.fake.clock.ticks - began > 5)
    assert story.injection.state == _S.VERIFYING


def test_a_cut_is_not_restored_on_the_word_of_a_guard_that_lies(
    cast: Cast, fake: FakeWorld
) -> None:
    story = begin(cast, fake, scenario=REGISTRY)
    story.to(_S.ACTIVE)
    fake.guards.machines["qa-2"].lies = True
    story.to(_S.VERIFYING)
    assert fake.guards.machines["qa-2"].cuts == []
    waits_in_verifying(story)
    fake.guards.machines["qa-2"].dropped.clear()
    done = story.to_the_end()
    assert _checks(done)["reach"] is True
    assert done.state == _S.CLEAN


def test_a_pod_that_was_replaced_in_mid_cut_is_not_waited_for(cast: Cast, fake: FakeWorld) -> None:
    fake.cluster.out_of_reach = {"10.96.0.7"}
    story = begin(cast, fake, scenario=REGISTRY)
    story.to(_S.ACTIVE)
    fake.cluster.services["registry/registry"] = (
        PLACES[0],
        Endpoint(address="10.244.2.4", port=5000),
    )
    assert _checks(story.to_the_end())["reach"] is True


def test_a_service_that_is_gone_after_the_cut_is_not_restored(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake, scenario=REGISTRY)
    story.to(_S.ACTIVE)
    places = fake.cluster.services.pop("registry/registry")
    story.to(_S.VERIFYING)
    waits_in_verifying(story)
    fake.cluster.services["registry/registry"] = places
    assert _checks(story.to_the_end())["reach"] is True


def test_what_could_never_be_reached_from_here_is_said(cast: Cast, fake: FakeWorld) -> None:
    fake.cluster.out_of_reach = {place.address for place in PLACES}
    done = begin(cast, fake, scenario=REGISTRY).to_the_end()
    assert done.state == _S.CLEAN
    assert done.timeline.filter(text__contains="said by the guards alone").exists()


def test_an_account_is_minted_for_the_change_and_gone_when_it_is_restored(
    cast: Cast, fake: FakeWorld
) -> None:
    story = begin(cast, fake, scenario=REGISTRY, mode="scale")
    live = story.to(_S.ACTIVE)
    assert fake.cluster.accounts == {str(live.pk)}
    assert [m.injections for m in fake.guards.machines.values()] == [1, 0, 0]
    assert fake.guards.machines["qa-1"].credential
    told = " ".join(entry.text + str(entry.data) for entry in live.timeline.all())
    assert "token" not in told + str(live.recipe) + str(live.fingerprint)
    fake.cluster.may_not_unmint = "no answer"
    story.to(_S.VERIFYING)
    began = fake.clock.ticks
    story.go(lambda _i: fake.clock.ticks - began > 5)
    assert story.injection.state == _S.VERIFYING, "an account that is left is not clean"
    fake.cluster.may_not_unmint = ""
    done = story.to_the_end()
    assert fake.cluster.accounts == set()
    assert done.state == _S.CLEAN


def test_an_account_that_is_made_too_late_is_gone_before_the_run_is_clean(
    cast: Cast, fake: FakeWorld
) -> None:
    """A conductor slept in arming, another brought the run to observing, and it woke up."""
    story = begin(cast, fake, scenario="registry-unusable", mode="scale")
    live = story.to(_S.OBSERVING)
    assert fake.cluster.accounts == set()
    fake.cluster.accounts.add(str(live.pk))
    assert story.to_the_end().state == _S.CLEAN
    assert fake.cluster.accounts == set()


def test_a_change_without_an_account_is_not_injected(cast: Cast, fake: FakeWorld) -> None:
    fake.cluster.may_not_mint = "Belay's account may not create roles in registry."
    done = begin(cast, fake, scenario=REGISTRY, mode="scale").to_the_end()
    assert "may not create roles" in done.doubt
    assert sum(m.injections for m in fake.guards.machines.values()) == 0
    assert done.verdict == Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("mode", "wrong"), [("cut", "service"), ("scale", "deployment")])
def test_a_name_that_stands_for_nothing_is_refused_before_anything(
    cast: Cast, fake: FakeWorld, mode: str, wrong: str
) -> None:
    done = begin(cast, fake, scenario=REGISTRY, mode=mode, **{wrong: "shop/nothing"}).to_the_end()
    assert done.state == _S.REFUSED
    assert "shop/nothing" in done.reason
    assert fake.guards.asked == []


def test_a_service_without_addresses_is_refused(cast: Cast, fake: FakeWorld) -> None:
    fake.cluster.services["registry/registry"] = ()
    done = begin(cast, fake, scenario=REGISTRY).to_the_end()
    assert done.state == _S.REFUSED
    assert "no address" in done.reason


@pytest.mark.parametrize("scenario", ["scheduler-down", "controller-manager-down"])
def test_a_component_that_is_down_already_is_refused(
    cast: Cast, fake: FakeWorld, scenario: str
) -> None:
    for pids in (machine.pids for machine in fake.guards.machines.values()):
        pids["kube-scheduler"] = pids["kube-controller-manager"] = 0
    done = begin(cast, fake, scenario=scenario).to_the_end()
    assert done.state == _S.REFUSED
    assert "runs on qa-1" in done.reason


def test_a_scheduler_that_comes_back_late_by_itself_is_no_trace_of_ours(
    cast: Cast, fake: FakeWorld
) -> None:
    """It loses its election with the API servers and waits out the kubelet's patience: the
    ledger tells that, and the proof that everything of ours is gone does not wait for it."""
    story = begin(cast, fake, scenario=ETCD)
    story.to(_S.VERIFYING)
    fake.guards.machines["qa-1"].pids["kube-scheduler"] = 0
    # The fake's canary asks for every process; a real one asks the API server alone.
    fake.cluster.canary = lambda _node: ""  # type: ignore[method-assign, assignment]
    assert story.to_the_end().state == _S.CLEAN


def test_whoever_takes_over_removes_the_account_too(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake, scenario=REGISTRY, mode="scale")
    story.to(_S.ACTIVE)
    story.someone_takes_over()
    done = story.to_the_end()
    assert done.state == _S.CLEAN
    assert fake.cluster.accounts == set()
    assert shell.claim_first(done.pk) is None
