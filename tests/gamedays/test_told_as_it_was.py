"""What pages and timeline say of a run is what was seen of it: never more, never earlier."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable

import pytest
from django.utils import timezone

from gamedays.choices import EntryKind, InjectionState
from gamedays.drivers.cluster import PodSighting
from gamedays.drivers.fleet import OrderReport, Phase, Reply
from gamedays.execution.pods import FINISHED
from gamedays.execution.way_back import UNDO_ALARM_S
from gamedays.models import Injection
from gamedays.scenarios.base import ClusterState, ComponentState, Value
from gamedays.scenarios.registry import get_scenario
from gamedays.selectors.pods import ledger
from gamedays.selectors.runs import Step, steps, timeline
from tests.gamedays.fakes import FakeWorld
from tests.gamedays.test_conductor import begin, make_fake
from tests.people import NODES, Cast, make_cast

_S = InjectionState
_ASKED: list[tuple[str, str, dict[str, Value]]] = [
    ("etcd-member-down", "etcd", {"node": "qa-1"}),
    ("api-servers-down", "kube-apiserver", {}),
    ("scheduler-down", "kube-scheduler", {}),
    ("bad-control-plane-flag", "kube-apiserver", {"node": "qa-1", "flag": "etcd-elsewhere"}),
]


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


@pytest.fixture
def fake(cast: Cast) -> FakeWorld:
    return make_fake(cast.cluster)


def step_of(run: Injection, key: str) -> Step:
    return next(step for step in steps(run, timeline(run)) if step.key == key)


@pytest.mark.parametrize(("key", "component", "parameters"), _ASKED)
@pytest.mark.parametrize("healthy", [False, None, True])
def test_what_nobody_could_look_at_is_not_called_ill(
    key: str, component: str, parameters: dict[str, Value], healthy: bool | None
) -> None:
    state = ClusterState(
        nodes={
            node: {
                component: ComponentState(
                    running=True, healthy=healthy if node == "qa-2" else True, has_leader=True
                )
            }
            for node in NODES
        }
    )
    said = " ".join(get_scenario(key).preflight(parameters, state))
    assert bool(said) is (healthy is not True), "neither lets a fault begin"
    assert ("is not healthy" in said) is (healthy is False)
    assert ("Nobody could look" in said and "qa-2" in said) is (healthy is None)


def test_nobody_watched_a_refused_run_to_its_end(cast: Cast, fake: FakeWorld) -> None:
    fake.watch.silent = {"shop"}
    run = begin(cast, fake).to_the_end()
    assert run.state == _S.REFUSED
    assert run.ended_at
    assert step_of(run, "ended").status == "skipped"
    assert step_of(run, "ended").at is None
    checked = step_of(run, "preflight")
    assert (checked.status, checked.title) == ("failed", "Checking the steady state")


@pytest.mark.parametrize(
    ("state", "key", "title"),
    [
        (_S.PREFLIGHT, "preflight", "Checking the steady state"),
        (_S.UNDOING, "undone", "Undoing"),
        (_S.VERIFYING, "restored", "Proving it restored"),
        (_S.OBSERVING, "ended", "Watching to the end"),
    ],
)
def test_a_step_under_way_is_not_told_as_done(
    cast: Cast, fake: FakeWorld, state: InjectionState, key: str, title: str
) -> None:
    run = begin(cast, fake).to(state)
    step = step_of(run, key)
    assert (step.status, step.title) == ("now", title)
    assert "agree." not in step.meaning or "until" in step.meaning


@pytest.mark.long
def test_a_slow_undo_alarms_when_its_promised_time_is_over_and_is_told_afterwards(
    cast: Cast, fake: FakeWorld
) -> None:
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    undo = fake.guards.undo
    begun = fake.clock.ticks

    def at_it(order_id: str, nodes: list[str]) -> dict[str, Reply]:  # type: ignore[type-arg]
        return {
            node: dataclasses.replace(
                reply, value=dataclasses.replace(reply.value, phase=Phase.UNDOING, detail="")
            )
            for node, reply in undo(order_id, nodes).items()
            if reply.value
        }

    fake.guards.undo = at_it  # type: ignore[method-assign, assignment]
    story.to(_S.UNDOING)
    begun = fake.clock.ticks
    stuck = story.to(_S.UNDO_STUCK)
    promised = get_scenario(stuck.scenario_key).recovery_budget_s
    assert promised > UNDO_ALARM_S
    assert promised <= fake.clock.ticks - begun < promised + 5
    assert "no detail" not in stuck.reason
    assert "qa-2 is still undoing it" in stuck.reason
    assert step_of(stuck, "undone").status == "failed"

    fake.guards.undo = undo  # type: ignore[method-assign]
    done = story.to_the_end()
    assert done.undone_at
    assert done.restored_at
    assert done.undone_at <= done.restored_at
    told = step_of(done, "undone")
    assert told.status == "done"
    assert [entry.kind for entry in told.evidence].count(EntryKind.ALARM) == 1
    assert all(e.kind != EntryKind.ALARM for e in step_of(done, "ended").evidence)


def test_the_timeline_tells_the_times_of_the_phases(cast: Cast, fake: FakeWorld) -> None:
    run = fake.rows.read(begin(cast, fake).injection.pk, 1)
    assert run
    looked = timezone.now() - dt.timedelta(seconds=0.9)
    run = fake.rows.move(run, _S.PREFLIGHT, text="", preflight_at=looked)
    assert run
    far = timezone.now() + dt.timedelta(hours=1)  # a clock that goes wrong
    refused = fake.rows.move(run, _S.REFUSED, text="", ended_at=far)
    assert refused
    told = {entry.data["state"]: entry.at for entry in timeline(Injection.objects.get())}
    assert told[_S.PREFLIGHT] == looked
    assert told[_S.REFUSED] < far


def test_finished_work_is_neither_running_nor_ready(cast: Cast, fake: FakeWorld) -> None:
    job = PodSighting(
        uid="job",
        node="qa-1",
        namespace="projectcontour",
        name="contour-certgen",
        phase=FINISHED,
        ready=None,
        restarts=0,
    )
    static = dataclasses.replace(fake.watch.pods[0], uid="mirror", name="etcd", mirror_uid="m")
    fake.watch.pods = (*fake.watch.pods, job, static)
    run = begin(cast, fake).to_the_end()
    assert ledger(run).counts == {"steady_pod": 4, "finished": 1}
    told = {line["key"]: line["sentence"] for line in run.judgement}
    assert "All 5 pods are still the same ones" in told["pods"]
    assert "4 that are meant to run are ready, 1 finished its work" in told["pods"]
    assert "None of 3 pods was terminated." in told["mass-termination"]
    assert "1 static" in told["mass-termination"]
    assert "1 finished" in told["mass-termination"]


def test_who_did_inject_is_told_where_another_guard_did_not_answer(
    cast: Cast, fake: FakeWorld
) -> None:
    """Two API servers were killed: a run that calls itself not injected would be a lie."""
    story = begin(cast, fake, scenario="api-servers-down")
    story.to(_S.PREFLIGHT)
    inject, lost = fake.guards.inject, fake.guards.machines["qa-1"]

    def two_of_three(order_id: str, nodes: Iterable[str]) -> dict[str, Reply[OrderReport]]:
        asked = list(nodes)
        lost.reachable = order_id != str(Injection.objects.get().pk)  # a drill is another order
        try:
            return inject(order_id, asked)
        finally:
            lost.reachable = True

    fake.guards.inject = two_of_three  # type: ignore[method-assign]
    done = story.to_the_end()
    assert [machine.injections for machine in fake.guards.machines.values()] == [0, 1, 1]
    assert "qa-1: refused." in done.doubt
    assert "qa-2, qa-3 did" in done.doubt
    assert "was not injected" not in done.doubt
