"""A newer guard takes up what an older one left on the disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from guard.protocol import Component, Phase, UndoReason
from tests.guard.world import STATE, STATIC_POD, Site

RECORDS = Path(__file__).parent / "records"
API = Component.KUBE_APISERVER


@pytest.fixture
def site() -> Site:
    """A node on which a guard of version 1 had injected a hold of the API server."""
    site = Site()
    raw = (RECORDS / "order-of-version-1.json").read_bytes()
    site.disk.files[STATE / "order.json"] = raw
    order_id = json.loads(raw)["order"]["recipe"]["order_id"]
    for process in site.node.processes(API, STATIC_POD):
        site.node.kill(process.info)
    site.node.stash[order_id] = {API: site.node.manifests.pop(API)}
    return site


def test_a_newer_guard_goes_on_with_an_older_guards_order(site: Site) -> None:
    site.restart()
    report = site.report()
    assert report.phase is Phase.INJECTED
    recorded = json.loads(site.disk.files[STATE / "order.json"])["sha256"]
    assert report.order_sha256 == recorded, "the hash that Belay was told at arming"


def test_a_newer_guard_undoes_an_older_guards_order(site: Site) -> None:
    site.restart()
    site.orders.undo(site.report().order_id)
    site.run(3)
    assert site.report().phase is Phase.UNDONE
    assert API in site.node.manifests
    assert site.node.running[API]


def test_a_newer_guard_undoes_it_after_a_boot_too(site: Site) -> None:
    site.reboot()
    site.run(3)
    assert (site.report().phase, site.report().undo_reason) == (Phase.UNDONE, UndoReason.BOOT)
    assert API in site.node.manifests


def test_what_it_then_writes_is_still_the_same_order(site: Site) -> None:
    site.restart()
    before = site.report().order_sha256
    site.orders.undo(site.report().order_id)
    site.restart()
    assert site.report().order_sha256 == before
    assert site.report().phase is Phase.UNDOING
