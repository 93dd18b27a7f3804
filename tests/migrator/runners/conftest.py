"""An API over real HTTPS, with real versions and conflicts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core import kube
from migrator.drivers.api import ClusterApi
from migrator.runners.base import (
    Hands,
)
from tests.gamedays.conftest import deployment
from tests.migrator.apply_api import ApplyApi
from tests.migrator.runners.asked import DEPLOYMENT, Ticked
from tests.migrator.world import PROXY, FakeAsks, FakeEnvoys, proxy
from tests.object_api import OWNER


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApplyApi]:
    api = ApplyApi(tmp_path)
    api.put(PROXY, proxy())
    api.put(DEPLOYMENT, deployment("shop"))
    yield api
    api.close()


@pytest.fixture
def envoys() -> FakeEnvoys:
    return FakeEnvoys()


@pytest.fixture
def ticks() -> Ticked:
    return Ticked()


@pytest.fixture
def hands(api: ApplyApi, envoys: FakeEnvoys, ticks: Ticked) -> Hands:
    credentials = kube.Credentials(server=api.url, ca_pem=api.ca_pem, token=OWNER)
    return Hands(api=ClusterApi(credentials), envoys=envoys, asks=FakeAsks(), ticks=ticks)
