"""Cutting endpoints off: the rules, on a kernel that does what the test says."""

from __future__ import annotations

import pytest

from guard.protocol import DEADLINE_MARGIN_S, Code, Endpoint, Fault, FaultKind, Phase, UndoReason
from guard.world import RefusedError
from tests.guard.world import STATE, Site

REGISTRY = Endpoint(address="10.96.0.50", port=5000)
POD = Endpoint(address="10.244.1.7", port=5000)
CUT = Fault(kind=FaultKind.CUT, hold_s=60, endpoints=[REGISTRY, POD])


def test_it_has_bitten_when_the_kernel_lists_it_and_nothing_gets_through(site: Site) -> None:
    order_id = site.arm(fault=CUT).report.order_id
    assert site.rules.until == {}, "armed is not cut"
    site.rules.leaks = True
    site.inject(order_id)
    site.run(5)
    assert (site.report().phase, site.report().bitten) == (Phase.INJECTED, False)
    site.rules.leaks = False
    site.run(1)
    assert site.report().bitten
    assert site.report().cut == [REGISTRY, POD]


def test_the_kernel_is_told_to_forget_at_the_hard_deadline(site: Site) -> None:
    began = site.clock.now
    site.live(fault=CUT)
    assert set(site.rules.until.values()) == {began + 60 + DEADLINE_MARGIN_S}


def test_the_undo_takes_everything_away_and_looks(site: Site) -> None:
    order_id = site.live(fault=CUT)
    site.orders.undo(order_id)
    site.run(1)
    assert site.report().phase is Phase.UNDONE
    assert site.report().cut == []
    assert site.rules.listed() == []


def test_an_undo_that_the_kernel_refuses_goes_on_until_it_is_seen(site: Site) -> None:
    order_id = site.live(fault=CUT)
    site.rules.fails = "nft: Operation not permitted"
    site.orders.undo(order_id)
    site.run(200)
    assert site.report().phase is Phase.STUCK
    assert "not permitted" in site.report().detail
    site.rules.fails = ""
    site.run(2)
    assert site.report().phase is Phase.UNDONE


def test_row_33_a_cut_that_somebody_else_took_away_is_not_put_there_again(site: Site) -> None:
    site.live(fault=CUT)
    site.rules.until = {}
    site.run(3)
    assert (site.report().phase, site.report().undo_reason) == (Phase.UNDONE, UndoReason.REVERTED)
    assert site.rules.listed() == []


def test_without_packet_rules_nothing_is_armed(site: Site) -> None:
    site.rules.fails = "No such file or directory: 'nft'"
    with pytest.raises(RefusedError, check=lambda error: error.code is Code.TARGET_ABSENT):
        site.arm(fault=CUT)
    assert site.orders.report() is None


def test_what_is_cut_already_is_not_cut_twice(site: Site) -> None:
    order_id = site.arm(fault=CUT).report.order_id
    site.rules.until = {REGISTRY: site.clock.now + 50}
    with pytest.raises(RefusedError, match="already"):
        site.inject(order_id)


def test_a_lost_journal_leaves_no_cut_behind(site: Site) -> None:
    site.live(fault=CUT)
    site.disk.files[STATE / "order.json"] = b"{"
    site.restart()
    assert site.rules.listed() == []


def test_a_restart_goes_on_and_cuts_nothing_anew(site: Site) -> None:
    site.live(fault=CUT)
    before = dict(site.rules.until)
    site.restart()
    site.run(2)
    assert site.report().phase is Phase.INJECTED
    assert site.rules.until == before
