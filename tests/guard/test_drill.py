"""The drill: arm, inject, expire and undo, with nothing of the node touched."""

from __future__ import annotations

from guard.protocol import Fault, FaultKind, Phase, UndoReason
from tests.guard.world import STATE, Site

DRILL = Fault(kind=FaultKind.DRILL, hold_s=5)
MARK = STATE / "drill"


def test_a_drill_that_nobody_renews_expires_and_is_undone(site: Site) -> None:
    order_id = site.live(fault=DRILL, lease_s=2.0)
    assert site.disk.files[MARK] == order_id.encode() + b"\n"
    site.run(3)
    assert (site.report().phase, site.report().undo_reason) == (Phase.UNDONE, UndoReason.LEASE)
    assert MARK not in site.disk.files


def test_a_drill_touches_nothing_of_the_node(site: Site) -> None:
    before = dict(site.node.manifests)
    site.live(fault=DRILL)
    site.orders.undo(site.report().order_id)
    site.run(1)
    assert site.report().phase is Phase.UNDONE
    assert site.node.manifests == before
    assert site.node.kills == []
    assert site.node.stashed_orders() == []


def test_a_drill_needs_no_component_that_runs(site: Site) -> None:
    site.node.manifests.clear()
    site.node.running = {one: [] for one in site.node.running}
    assert site.live(fault=DRILL)


def test_a_drills_file_that_somebody_removed_is_seen(site: Site) -> None:
    site.live(fault=DRILL)
    del site.disk.files[MARK]
    site.run(2)
    assert site.report().undo_reason is UndoReason.REVERTED


def test_a_drill_survives_a_restart_and_is_undone_by_the_next_guard(site: Site) -> None:
    site.live(fault=DRILL, lease_s=2.0)
    site.restart()
    site.run(3)
    assert site.report().phase is Phase.UNDONE
    assert MARK not in site.disk.files
