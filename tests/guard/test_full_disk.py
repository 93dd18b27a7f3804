"""A disk that takes nothing any more. Time is moved, never waited for."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.protocol import (
    Code,
    Component,
    Phase,
    UndoReason,
)
from tests.guard.world import STATE, Site, refused

API = Component.KUBE_APISERVER
ORDER_FILE = STATE / "order.json"


def test_row_25_on_a_full_disk_nothing_is_armed(site: Site) -> None:
    site.disk.full = True
    with refused(Code.DISK):
        site.arm()
    assert site.node.stashed_orders() == []
    site.disk.full = False
    site.arm()


def test_row_25_on_a_disk_that_fills_up_after_arming_nothing_is_injected(site: Site) -> None:
    order_id = site.arm().report.order_id
    site.disk.full = True
    with refused(Code.DISK):
        site.inject(order_id)
    assert API in site.node.manifests
    assert site.node.kills == []
    assert site.report().phase is Phase.ARMED


def test_row_25_an_undo_goes_on_with_a_full_disk(site: Site) -> None:
    order_id = site.live()
    site.disk.full = True
    site.orders.undo(order_id)
    site.run(3)
    assert site.report().phase is Phase.UNDONE
    assert API in site.node.manifests
    # What the disk did not take is written when there is room; until then nothing new is armed.
    with refused(Code.DISK):
        site.arm()
    site.disk.full = False
    site.run(1)
    assert order_id.encode() in site.disk.files[STATE / "tombstones"]
    site.arm()


def test_row_25_a_restart_with_a_full_disk_undoes_once_more_and_harms_nothing(site: Site) -> None:
    order_id = site.live()
    site.disk.full = True
    site.orders.undo(order_id)
    site.run(3)
    site.restart()
    site.run(60)
    assert site.report().phase is Phase.UNDONE
    assert site.node.placed == [API]


def test_a_wish_that_cannot_be_taken_now_is_done_all_the_same(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = site.live()
    # Somebody holds the lock: the wish is noted without it.
    monkeypatch.setattr("guard.orders.LOCK_WAIT_S", 0.0)
    monkeypatch.setattr(site.orders.changed, "acquire", lambda **_: False)
    with refused(Code.BUSY):
        site.orders.undo(order_id)
    site.run(3)
    assert site.report().undo_reason is UndoReason.REQUESTED
    assert site.report().phase is Phase.UNDONE


def test_paths_in_the_journal_are_only_its_own(site: Site) -> None:
    order_id = site.live()
    site.renew(order_id)
    site.orders.undo(order_id)
    site.run(2)
    names = {path.name for path in site.disk.files}
    assert {path.parent for path in site.disk.files} == {Path("/state")}
    assert names == {"order.json", "lease.json", "tombstones"}
