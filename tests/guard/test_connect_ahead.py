"""A connection that is opened before the fault: quicker, and never a second way to be wrong."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gamedays.drivers import guard_client
from gamedays.drivers.guard_client import GuardError
from guard.protocol import Phase
from tests.guard.running import GuardSite, TestClient, await_true, guard_site, hold, new_order


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardSite]:
    folder: Path = tmp_path_factory.mktemp("guard")
    with guard_site(folder) as running:
        yield running


def armed(client: TestClient) -> str:
    order_id = new_order()
    client.hello()
    client.arm_for(order_id, hold(), lease_s=45.0)
    return order_id


def undone(site: GuardSite, client: TestClient, order_id: str) -> None:
    client.undo(order_id)
    await_true("the order is undone", lambda: client.undo(order_id).phase is Phase.UNDONE)
    await_true("the node is whole", site.whole)


def test_inject_opens_no_connection_of_its_own(
    site: GuardSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = site.client()
    order_id = armed(client)
    client.connect_ahead()
    with monkeypatch.context() as patch:
        patch.setattr(client, "_connect", _no_more)
        assert client.inject(order_id).bitten
    undone(site, client, order_id)


def test_an_old_connection_is_not_used(site: GuardSite, monkeypatch: pytest.MonkeyPatch) -> None:
    client = site.client()
    order_id = armed(client)
    client.connect_ahead()
    with monkeypatch.context() as patch:
        patch.setattr(guard_client, "READY_S", 0.0)
        patch.setattr(client, "_connect", _no_more)
        with pytest.raises(GuardError):
            client.inject(order_id)
    undone(site, client, order_id)


def test_a_guard_that_was_replaced_meanwhile_injects_nothing(site: GuardSite) -> None:
    client = site.client()
    order_id = armed(client)
    client.connect_ahead()
    before = site.worker()
    os.kill(before, signal.SIGKILL)
    await_true("another worker", lambda: site.worker() != before)
    await_true("it answers", site.answers)
    with pytest.raises(GuardError):
        client.inject(order_id)
    assert site.manifests() == site.before
    assert site.journalled()[0] is Phase.ARMED
    undone(site, client, order_id)


def test_a_closed_client_opens_its_connection_anew(site: GuardSite) -> None:
    client = site.client()
    client.connect_ahead()
    client.close()
    order_id = armed(client)
    assert client.inject(order_id).bitten
    undone(site, client, order_id)


def _no_more(_deadline: float) -> None:
    raise OSError("no further connection is expected here")
