"""Runs that change API objects: the account of the run, the proof, and what is not clobbered."""

from __future__ import annotations

import uuid

import pytest

from gamedays.choices import EntryKind, InjectionState, Verdict
from gamedays.models import TimelineEntry
from gamedays.scenarios.plan import ObjectTarget
from tests.gamedays.fakes import FakeWorld
from tests.gamedays.test_conductor import Story, begin, make_fake
from tests.people import Cast, make_cast

pytestmark = pytest.mark.django_db
_S = InjectionState
IMAGE: dict[str, object] = {
    "scenario": "wrong-configuration",
    "target": "shop/prices",
    "part": "prices",
}


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def fake(cast: Cast) -> FakeWorld:
    return make_fake(cast.cluster)


def wrong(cast: Cast, fake: FakeWorld, **parameters: object) -> Story:
    fake.cluster.objects["shop/prices"] = ObjectTarget(
        kind="deployment",
        namespace="shop",
        name="prices",
        uid=str(uuid.uuid4()),
        resource_version="7",
        change="bad-image",
        key="prices",
    )
    return begin(cast, fake, **(IMAGE | parameters))


def test_one_guard_changes_the_object_and_takes_it_back(cast: Cast, fake: FakeWorld) -> None:
    story = wrong(cast, fake)
    live = story.to(_S.ACTIVE)
    assert [m.injections for m in fake.guards.machines.values()] == [1, 0, 0]
    assert fake.cluster.accounts == {str(live.pk)}
    done = story.to_the_end()
    assert (done.state, done.verdict) == (_S.CLEAN, Verdict.HELD), done.reason
    proof = TimelineEntry.objects.get(injection=done, text__startswith="Restored, proved")
    assert "The deployment shop/prices is as before." in proof.text
    assert not fake.cluster.accounts


def test_the_token_is_in_no_row(cast: Cast, fake: FakeWorld) -> None:
    done = wrong(cast, fake).to(_S.ACTIVE)
    assert "token" not in str(done.recipe)
    assert done.recipe["faults"]["qa-1"]["objects"][0]["resource_version"] == "7"


def test_an_object_that_is_not_there_is_refused(cast: Cast, fake: FakeWorld) -> None:
    done = wrong(cast, fake, target="shop/nothing").to_the_end()
    assert done.state == _S.REFUSED
    assert "shop/nothing" in done.reason
    assert "arm" not in fake.guards.asked


def test_without_the_right_to_mint_it_is_refused_before_arming(cast: Cast, fake: FakeWorld) -> None:
    fake.cluster.lacks_rights = "Belay's account may not create roles in shop."
    done = wrong(cast, fake).to_the_end()
    assert (done.state, done.reason) == (_S.REFUSED, fake.cluster.lacks_rights)
    assert "arm" not in fake.guards.asked


def test_what_cannot_be_minted_after_all_is_not_injected(cast: Cast, fake: FakeWorld) -> None:
    fake.cluster.may_not_mint = "A policy of the cluster forbids it."
    done = wrong(cast, fake).to_the_end()
    assert done.verdict == Verdict.INCONCLUSIVE
    assert "policy of the cluster" in done.doubt
    assert "arm" not in fake.guards.asked
    assert not any(m.injections for m in fake.guards.machines.values())


def test_row_32_what_a_person_changed_is_stuck_with_an_alarm_until_it_is_put_back(
    cast: Cast, fake: FakeWorld
) -> None:
    story = wrong(cast, fake)
    story.to(_S.ACTIVE)
    fake.guards.machines["qa-1"].stuck = "deployment shop/prices was changed by somebody else."
    stuck = story.to(_S.UNDO_STUCK)
    alarm = TimelineEntry.objects.get(injection=stuck, kind=EntryKind.ALARM)
    assert "changed by somebody else" in alarm.text
    assert stuck.undo_asked_at is not None
    assert (fake.clock.now() - stuck.undo_asked_at).total_seconds() < 30
    assert fake.cluster.accounts
    fake.guards.machines["qa-1"].stuck = ""
    done = story.to_the_end()
    assert done.state == _S.CLEAN
    assert not fake.cluster.accounts


def test_a_guards_word_alone_is_no_proof(cast: Cast, fake: FakeWorld) -> None:
    story = wrong(cast, fake)
    story.to(_S.ACTIVE)
    fake.cluster.not_as_before = True
    stuck = story.to(_S.UNDO_STUCK)
    assert "deployment shop/prices is not as before" in stuck.reason
    fake.cluster.not_as_before = False
    assert story.to_the_end().state == _S.CLEAN


def test_whoever_takes_over_takes_the_account_away_too(cast: Cast, fake: FakeWorld) -> None:
    story = wrong(cast, fake)
    story.to(_S.ACTIVE)
    story.someone_takes_over()
    done = story.to_the_end()
    assert done.verdict == Verdict.INCONCLUSIVE
    assert not fake.cluster.accounts
    assert not any(m.changes_objects() for m in fake.guards.machines.values())
