"""The cast, services as their people would have made them, a shop with a plan, and its world."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from core.models import User
from migrator.models import Service
from migrator.operations.services import create_service
from tests.migrator.people import Shop, make_shop
from tests.migrator.world import StepWorld
from tests.people import Cast, make_cast

As = Callable[[str | None], Client]
Make = Callable[..., Service]


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


@pytest.fixture
def make(cast: Cast) -> Make:
    """`make("Shop", tier="1")`: Erik adds it for his team, or `by` for theirs."""

    def service(name: str, by: User | None = None, **given: str) -> Service:
        actor = by or cast.erik
        team = actor.teams.get() if by else cast.team
        return create_service(actor=actor, team=team, cluster=None, given={"name": name, **given})

    return service


@pytest.fixture
def shop(cast: Cast) -> Shop:
    """On QA: 1%, 10%, 50%, 100%, each rehearsed."""
    return make_shop(cast, 1, 10, 50, 100)


@pytest.fixture
def world() -> StepWorld:
    return StepWorld()


@pytest.fixture
def client_of(cast: Cast) -> As:
    """`client_of("lea")`; None for somebody who is not logged in."""

    def make(username: str | None) -> Client:
        client = Client(raise_request_exception=True)
        if username is not None:
            client.force_login(getattr(cast, username))
        return client

    return make
