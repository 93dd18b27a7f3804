"""Whatever happens to a node, in any order: in the end nothing of any fault is left on it."""

from __future__ import annotations

import contextlib
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.faults import DRIVERS
from guard.protocol import (
    DEADLINE_MARGIN_S,
    BadFlag,
    Component,
    Endpoint,
    Fault,
    FaultKind,
    Phase,
)
from guard.world import RefusedError
from tests.guard.world import STATE, Site, found_manifest

HOLD_S = st.integers(min_value=5, max_value=90)
FAULTS = st.one_of(
    st.builds(
        Fault,
        kind=st.sampled_from([FaultKind.HOLD, FaultKind.KILL]),
        hold_s=HOLD_S,
        component=st.sampled_from(Component),
    ),
    st.builds(
        Fault, kind=st.just(FaultKind.FLAG), hold_s=HOLD_S, flag=st.just(BadFlag.ETCD_ELSEWHERE)
    ),
    st.builds(
        Fault,
        kind=st.just(FaultKind.CUT),
        hold_s=HOLD_S,
        endpoints=st.just([Endpoint(address="10.96.0.50", port=5000)]),
    ),
    st.builds(Fault, kind=st.just(FaultKind.DRILL), hold_s=HOLD_S),
)
Event = tuple[str, Fault | float | None]
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("arm"), FAULTS),
        st.tuples(st.sampled_from(["inject", "renew", "undo", "restart", "reboot"]), st.none()),
        st.tuples(st.sampled_from(["full", "room", "kubelet off", "kubelet on"]), st.none()),
        st.tuples(st.sampled_from(["crash after intent", "nft fails", "nft works"]), st.none()),
        st.tuples(st.just("time"), st.floats(min_value=0.0, max_value=70.0)),
    ),
    max_size=7,
)


class Story:
    """One node, and the one order that somebody on the other side remembers."""

    def __init__(self) -> None:
        self.site = Site()
        self.order_id = ""
        self.injections: dict[str, int] = {}

    def happen(self, event: str, detail: Fault | float | None) -> None:
        site = self.site
        with contextlib.suppress(RefusedError):
            if event == "arm":
                self.order_id = site.arm(fault=detail, lease_s=20.0).report.order_id
            elif event == "inject" and self.order_id:
                site.inject(self.order_id)
                self.injections[self.order_id] = self.injections.get(self.order_id, 0) + 1
            elif event == "renew" and self.order_id:
                site.renew(self.order_id)
            elif event == "undo" and self.order_id:
                site.orders.undo(self.order_id)
        if event == "restart":
            site.restart()
        elif event == "reboot":
            site.reboot()
        elif event == "crash after intent" and self.order_id:
            self._crash()
        elif event in ("full", "room"):
            site.disk.full = event == "full"
        elif event in ("kubelet off", "kubelet on"):
            site.node.kubelet_runs = event == "kubelet on"
        elif event in ("nft fails", "nft works"):
            site.rules.fails = "nft: busy" if event == "nft fails" else ""
        elif event == "time":
            assert isinstance(detail, float)
            site.run(detail)

    def _crash(self) -> None:
        """The process dies between the journalled intent and the effect."""
        with contextlib.ExitStack() as dying:
            for driver in DRIVERS.values():
                dying.enter_context(patch.object(type(driver), "strike", _die))
            with contextlib.suppress(RefusedError, _DiedError):
                self.site.inject(self.order_id)
        self.site.restart()


class _DiedError(BaseException):
    pass


def _die(*_: object) -> None:
    raise _DiedError


@pytest.mark.long
@settings(max_examples=150, deadline=None)
@given(EVENTS, FAULTS, st.sampled_from(["inject", "crash after intent", "time"]), EVENTS)
def test_when_everything_heals_nothing_is_left(
    before: list[Event], fault: Fault, then: str, after: list[Event]
) -> None:
    story = Story()
    site = story.site
    begun: list[Event] = [("arm", fault), (then, 1.0)]
    for event, detail in [*before, *begun, *after]:
        story.happen(event, detail)
        live = site.orders.order
        if live is not None and live.phase is Phase.ARMED:
            assert_untouched(site)
    for healed in ("room", "nft works", "kubelet on"):
        story.happen(healed, None)
    # Nobody renews and nobody asks: what is left ends by itself.
    site.run(90 + DEADLINE_MARGIN_S + 60)
    report = site.orders.report()
    assert report is None or report.phase is Phase.UNDONE, report
    assert_untouched(site)
    assert site.node.stashed_orders() == []
    assert all(site.node.running[one] for one in Component)
    assert all(count == 1 for count in story.injections.values())
    if story.order_id:
        with pytest.raises(RefusedError):
            site.inject(story.order_id)
        assert_untouched(site)


def assert_untouched(site: Site) -> None:
    assert site.node.manifests == {one: found_manifest(one) for one in Component}
    assert site.rules.until == {} or site.rules.fails
    assert STATE / "drill" not in site.disk.files
