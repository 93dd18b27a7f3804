"""The cast, and services as their people would have made them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.models import User
from migrator.models import Service
from migrator.operations.services import create_service
from tests.people import Cast, make_cast

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
