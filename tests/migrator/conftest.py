"""The cast, a shop with a plan, and its world."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from tests.migrator.people import Shop, make_shop
from tests.migrator.world import StepWorld
from tests.people import Cast, make_cast

As = Callable[[str | None], Client]


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


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
