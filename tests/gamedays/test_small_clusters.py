"""Clusters with one control-plane node, or none in reach: what applies, and why not the rest."""

from __future__ import annotations

import pytest

from core.errors import Invalid
from gamedays.models import Gameday
from gamedays.scenarios.registry import all_scenarios, get_scenario
from tests.people import API, ETCD, Cast, book, make_cast
from tests.ui.conftest import As, client_of

pytestmark = pytest.mark.django_db
__all__ = ["client_of"]


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


def shrink(cast: Cast, control_plane: int) -> None:
    nodes = cast.cluster.nodes.order_by("name")
    for position, node in enumerate(nodes):
        node.control_plane = position < control_plane
        node.save()


def test_every_scenario_applies_to_three_and_none_where_no_guard_can_stand() -> None:
    for scenario in all_scenarios():
        assert scenario.why_not_here(["qa-1", "qa-2", "qa-3"]) == "", scenario.key
        assert "no guard can stand there" in scenario.why_not_here([]), scenario.key
    assert "needs 3 control-plane nodes" in get_scenario(ETCD).why_not_here(["qa-1"])
    assert get_scenario(API).why_not_here(["qa-1"]) == ""


def test_what_does_not_apply_is_not_booked(cast: Cast) -> None:
    shrink(cast, 1)
    with pytest.raises(Invalid, match="needs 3 control-plane nodes") as refusal:
        book(cast, node="qa-1")
    assert refusal.value.code == "scenario_not_here"
    assert not Gameday.objects.exists()
    book(cast, scenario=API)


@pytest.mark.parametrize(("planes", "not_offered"), [(3, False), (1, True)])
def test_the_pages_say_what_does_not_apply_and_why(
    cast: Cast, client_of: As, planes: int, *, not_offered: bool
) -> None:
    shrink(cast, planes)
    lea = client_of("lea")
    form = lea.get("/gamedays/book/").content.decode()
    assert (f'data-testid="not-{ETCD}"' in form) == not_offered
    assert (f'data-testid="add-{ETCD}"' in form) != not_offered
    assert f'data-testid="add-{API}"' in form
    matrix = lea.get("/scenarios/").content.decode()
    assert ("It needs 3 control-plane nodes; this cluster has 1." in matrix) == not_offered
