"""The bench's person against the pages as they are: a field that is renamed is told here."""

from __future__ import annotations

import datetime as dt

import pytest
from pytest_django.live_server_helper import LiveServer

from gamedays.models import Gameday, Injection
from gamedays.operations.runs import start_gameday
from tests.bench.gamedays import HOLD_S, SCENARIO
from tests.bench.people import Person
from tests.people import Cast, book, make_cast


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    return make_cast()


@pytest.fixture
def lea(cast: Cast, live_server: LiveServer) -> Person:
    return Person(live_server.url, "lea", "rope and harness")


def test_she_books_to_the_second(cast: Cast, lea: Person) -> None:
    starts_at = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(hours=1, seconds=7)
    key = lea.book(
        cluster_id=cast.cluster.pk,
        facilitator_id=cast.lea.pk,
        starts_at=starts_at,
        scenario=SCENARIO,
        parameters={"mode": "hold", "hold_s": str(HOLD_S), "observe_s": "20"},
    )
    gameday = Gameday.objects.get(pk=key)
    assert (gameday.starts_at, gameday.autostart) == (starts_at, True)
    [item] = gameday.agenda.all()
    assert item.scenario_key == SCENARIO
    assert item.parameters == {"mode": "hold", "hold_s": HOLD_S, "observe_s": 20}


def test_her_click_on_abort_arrives(cast: Cast, lea: Person) -> None:
    run = start_gameday(actor=cast.erik, gameday=book(cast))
    lea.abort(str(run.pk))
    assert Injection.objects.get(pk=run.pk).abort_requested_by == cast.lea
