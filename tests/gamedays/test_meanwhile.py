"""A pod that ends while the fault is live, as the run foresees: once, by the run's own account."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gamedays.choices import InjectionState, Outcome, Verdict
from gamedays.drivers.cluster import PodSighting
from gamedays.models import Finding, Injection
from gamedays.operations.outcomes import _look_for_symptom
from gamedays.scenarios.plan import Endpoint, ObjectTarget
from gamedays.scenarios.registry import get_scenario
from tests.gamedays.fakes import FakeWorld
from tests.gamedays.test_conductor import Story, begin, make_fake
from tests.people import Cast, make_cast

pytestmark = pytest.mark.django_db
_S = InjectionState
REGISTRY = "registry-unusable"
HOLD_S = 40


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def fake(cast: Cast) -> FakeWorld:
    made = make_fake(cast.cluster)
    made.cluster.services["registry/registry"] = (Endpoint(address="10.96.0.5", port=5000),)
    for name in ("shop", "prices"):
        made.cluster.objects[f"shop/{name}"] = ObjectTarget(
            kind="pod", namespace="shop", name=f"{name}-5d-old", uid=f"uid-{name}",
            resource_version="7", change="delete-pod",
        )  # fmt: skip
    made.watch.pods += tuple(_pod(f"{name}-5d-old", f"uid-{name}") for name in ("shop", "prices"))
    return made


def _pod(name: str, uid: str, **more: object) -> PodSighting:
    seen = PodSighting(
        uid=uid, node="qa-1", namespace="shop", name=name, phase="Running", ready=True, restarts=0
    )
    return replace(seen, **more)  # type: ignore[arg-type]


def _begin(cast: Cast, fake: FakeWorld, **given: object) -> Story:
    return begin(cast, fake, scenario=REGISTRY, hold_s=HOLD_S, observe_s=60, **given)


def _pass(story: Story, fake: FakeWorld, seconds: float) -> None:
    at = fake.clock.ticks
    story.go(lambda _run: fake.clock.ticks - at >= seconds, steps=4000)


def _without(fake: FakeWorld, uid: str) -> tuple[PodSighting, ...]:
    return tuple(pod for pod in fake.watch.pods if pod.uid != uid)


def _line(run: Injection, key: str) -> dict[str, object]:
    return next(line for line in run.judgement if line["key"] == f"meanwhile:{key}")


def test_the_pod_ends_once_and_its_successor_is_judged(cast: Cast, fake: FakeWorld) -> None:
    story = _begin(cast, fake, restart="shop/shop")
    live = story.to(_S.ACTIVE)
    assert live.recipe["meanwhile"][0]["target"]["uid"] == "uid-shop"
    assert fake.cluster.ended_pods == [], "only once the fault is seen to bite"
    _pass(story, fake, 6)
    assert fake.cluster.ended_pods == ["uid-shop"]
    fake.watch.pods = (*_without(fake, "uid-shop"), _pod("shop-5d-new", "uid-new"))
    done = story.to_the_end()
    assert fake.cluster.ended_pods == ["uid-shop"]
    line = _line(done, "restart")
    assert line["result"] == "held", line
    assert "shop/shop-5d-new was ready" in str(line["sentence"])
    assert done.verdict == Verdict.HELD, done.reason
    assert not fake.cluster.accounts, "the account is gone although no object was changed"
    assert done.timeline.filter(data__meanwhile="restart", data__has_key="done_at").count() == 1


@pytest.mark.parametrize("ends", [True, False])
def test_it_waits_for_what_the_fault_ends_but_not_for_ever(
    cast: Cast, fake: FakeWorld, ends: bool
) -> None:
    """A kubelet may take half a minute over the pods of a Deployment that was scaled to zero."""
    fake.cluster.objects["registry/registry"] = ObjectTarget(
        kind="deployment", namespace="registry", name="registry", uid="uid-registry",
        resource_version="7", change="scale-to-zero",
    )  # fmt: skip
    lingering = _pod("registry-5d-old", "uid-registry-pod", namespace="registry")
    fake.watch.pods += (lingering,)
    story = _begin(cast, fake, mode="scale", restart="shop/shop")
    story.to(_S.ACTIVE)
    _pass(story, fake, 15)
    assert fake.cluster.ended_pods == [], "the registry still serves"
    if ends:
        fake.watch.pods = _without(fake, "uid-registry-pod")
        _pass(story, fake, 3)
    else:
        _pass(story, fake, HOLD_S / 2 - 15 + 1)
    assert fake.cluster.ended_pods == ["uid-shop"]


def test_a_successor_that_does_not_start_is_a_finding_and_is_looked_for_again(
    cast: Cast, fake: FakeWorld
) -> None:
    story = _begin(cast, fake, restart="shop/prices")
    story.to(_S.ACTIVE)
    _pass(story, fake, 6)
    waiting = _pod("prices-5d-new", "uid-new", ready=False, reason="ImagePullBackOff")
    fake.watch.pods = (*_without(fake, "uid-prices"), waiting)
    story.to(_S.OBSERVING)
    fake.watch.pods = (*_without(fake, "uid-new"), replace(waiting, ready=True, reason=""))
    done = story.to_the_end()
    assert (done.verdict, _line(done, "restart")["result"]) == (Verdict.BROKE, "broke")
    finding = Finding.objects.get(injection=done)
    assert "ImagePullBackOff" in finding.happened
    assert _look_for_symptom(finding, done)[0] == Outcome.RECURS
    done.recipe.pop("meanwhile")
    assert _look_for_symptom(finding, done)[0] == Outcome.INVALID


@pytest.mark.parametrize(
    ("reason", "comes_back", "told"),
    [
        ("ErrImagePull", True, ("held", "said ErrImagePull, and was ready")),
        ("ErrImagePull", False, ("broke", "was not ready at the end of the watch")),
        ("CreateContainerError", True, ("broke", "nothing of its image")),
        ("", None, ("broke", "started all the same")),
    ],
)
def test_what_has_to_pull_says_so_and_comes_up_by_itself(
    cast: Cast, fake: FakeWorld, reason: str, comes_back: bool | None, told: tuple[str, str]
) -> None:
    story = _begin(cast, fake, pull="shop/prices")
    story.to(_S.ACTIVE)
    _pass(story, fake, 6)
    new = _pod("prices-5d-new", "uid-new", ready=comes_back is None, reason=reason)
    fake.watch.pods = (*_without(fake, "uid-prices"), new)
    story.to(_S.OBSERVING)
    if comes_back:
        on_its_way = replace(new, reason="ContainerCreating")
        fake.watch.pods = (*_without(fake, "uid-new"), on_its_way)
        _pass(story, fake, 4)
        fake.watch.pods = (*_without(fake, "uid-new"), replace(new, ready=True, reason=""))
    line = _line(story.to_the_end(), "pull")
    assert (line["result"], told[1] in str(line["sentence"])) == (told[0], True), line


def test_a_pod_that_is_kept_is_unknown_and_never_green(cast: Cast, fake: FakeWorld) -> None:
    fake.cluster.keeps_pods = "The cluster did not delete pod shop/shop-5d-old (HTTP 403)."
    done = _begin(cast, fake, restart="shop/shop").to_the_end()
    assert done.verdict == Verdict.INCONCLUSIVE
    assert "HTTP 403" in done.reason


def test_a_hold_that_is_too_short_tells_nothing(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake, scenario=REGISTRY, hold_s=12, restart="shop/shop")
    done = story.to_the_end()
    assert _line(done, "restart")["result"] == "unknown"
    assert "Hold it for longer" in done.reason


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"restart": "shop/nothing"}, "no pod shop/nothing"),
        ({"restart": "shop/shop", "pull": "shop/shop"}, "one pod ends only once"),
    ],
)
def test_what_stands_for_no_pod_of_its_own_is_refused(
    cast: Cast, fake: FakeWorld, given: dict[str, object], says: str
) -> None:
    done = _begin(cast, fake, **given).to_the_end()
    assert done.state == _S.REFUSED
    assert says in done.reason
    assert "arm" not in fake.guards.asked


def test_without_the_right_to_an_account_it_is_refused(cast: Cast, fake: FakeWorld) -> None:
    fake.cluster.lacks_rights = "Belay's account may not create roles in shop."
    done = _begin(cast, fake, restart="shop/shop").to_the_end()
    assert (done.state, done.reason) == (_S.REFUSED, fake.cluster.lacks_rights)


def test_whoever_takes_over_ends_no_pod(cast: Cast, fake: FakeWorld) -> None:
    story = _begin(cast, fake, restart="shop/shop")
    story.to(_S.ACTIVE)
    story.someone_takes_over()
    done = story.to_the_end()
    assert done.state == _S.CLEAN
    assert fake.cluster.ended_pods == []
    assert not fake.cluster.accounts


def test_an_empty_choice_is_none_and_a_wrong_one_is_told() -> None:
    scenario = get_scenario(REGISTRY)
    assert scenario.clean({}, ["qa-1"])["pull"] == ""
    assert not scenario.plan(scenario.clean({}, ["qa-1"]), ["qa-1"]).meanwhile
    with pytest.raises(Exception, match="is no object"):
        scenario.clean({"pull": "prices"}, ["qa-1"])
