"""What others say may hold any character: none of it may stand between a fault and its undo."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gamedays.choices import FINAL, InjectionState
from gamedays.execution.world import Sample
from gamedays.models import SampleBlock
from gamedays.operations.runs import abort_injection, add_note
from tests.gamedays.fakes import FakeWorld
from tests.gamedays.test_conductor import begin, make_fake
from tests.people import Cast, make_cast

pytestmark = pytest.mark.django_db
_S = InjectionState
NOT_STORABLE = ("before\x00after", "half a \ud83d letter")
"""PostgreSQL takes neither in a text nor in JSON; both are valid in the JSON of an answer."""


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def fake(cast: Cast) -> FakeWorld:
    return make_fake(cast.cluster)


@pytest.mark.parametrize("words", NOT_STORABLE)
def test_a_probe_that_is_told_what_cannot_be_stored_delays_no_abort(
    cast: Cast, fake: FakeWorld, words: str
) -> None:
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    drain = fake.watch.drain_samples

    def hostile() -> list[Sample]:
        return [replace(sample, passed=0, detail=words) for sample in drain()]

    fake.watch.drain_samples = hostile  # type: ignore[method-assign]
    fake.clock.forward(2)
    abort_injection(actor=cast.vera, injection=story.injection)
    done = story.to_the_end()
    assert done.state == _S.CLEAN
    assert not fake.fault_is_on()
    told = {row[4] for block in SampleBlock.objects.filter(injection=done) for row in block.samples}
    assert any(words[:6] in text for text in told), "the look itself is kept"


@pytest.mark.parametrize("words", NOT_STORABLE)
def test_a_pod_whose_reason_cannot_be_stored_delays_no_undo(
    cast: Cast, fake: FakeWorld, words: str
) -> None:
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    fake.watch.pods = tuple(replace(pod, ready=False, reason=words) for pod in fake.watch.pods)
    assert story.go(lambda i: i.state in FINAL).state == _S.CLEAN
    assert not fake.fault_is_on()


@pytest.mark.parametrize("field", ["phase", "mirror_uid", "name"])
def test_a_pod_that_fits_no_column_delays_no_undo(cast: Cast, fake: FakeWorld, field: str) -> None:
    """Whoever may create pods writes their annotations, the mirror's among them."""
    story = begin(cast, fake)
    story.to(_S.ACTIVE)
    well = fake.watch.pods
    too_long: dict[str, Any] = {field: "x" * 300}
    strange = replace(well[0], uid="another", **too_long)
    fake.watch.pods = (*well, strange)
    abort_injection(actor=cast.vera, injection=story.injection)
    assert story.to_the_end().state == _S.CLEAN
    assert not fake.fault_is_on()


def test_a_note_keeps_what_can_be_kept(cast: Cast, fake: FakeWorld) -> None:
    story = begin(cast, fake)
    note = add_note(actor=cast.vera, injection=story.injection, text="seen\x00 it")
    note.refresh_from_db()
    assert note.text.startswith("seen")
