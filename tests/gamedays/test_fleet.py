"""All guards at once: what is asked of them, and what is not even asked."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from gamedays.drivers.fleet import Fleet, Phase
from gamedays.drivers.guard_client import GuardClient, GuardUnreachable
from gamedays.operations.guards import ask_guards, pin_guard
from gamedays.pki import make_authority
from gamedays.scenarios.plan import NodeFault
from guard.protocol import Armed, Boot, Hello, OrderReport
from tests.people import NODES, make_cast

HOLD = NodeFault(kind="hold", hold_s=20, component="etcd")
CUT = NodeFault(kind="cut", hold_s=20)
SCHEDULER = NodeFault(kind="kill", hold_s=20, component="kube-scheduler")
DRILL = NodeFault(kind="drill", hold_s=20)


class OldGuard:
    """A guard of the first protocol, as far as the fleet speaks with it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def hello(self) -> Hello:
        return Hello(
            protocol=1,
            version="0.1",
            node="qa-1",
            cluster_uid="u",
            stage="qa",
            boot=Boot(boot_id="b", init_started_ticks=1),
            session="s",
            sequence=0,
            epoch=1,
            installation="i",
        )

    def arm(self, order_id: str, *_args: Any, **_more: Any) -> Armed:
        self.asked.append("arm")
        return Armed(report=OrderReport(order_id=order_id, phase=Phase.ARMED), stored_sha256="h")

    def undo(self, order_id: str) -> OrderReport:
        self.asked.append("undo")
        return OrderReport(order_id=order_id, phase=Phase.UNDONE)

    def connect_ahead(self) -> None:
        self.asked.append("connect ahead")

    def close(self) -> None: ...


@pytest.mark.parametrize("fault", [CUT, SCHEDULER, DRILL], ids=lambda fault: fault.kind)
def test_a_guard_that_is_too_old_for_a_fault_is_never_sent_it(fault: NodeFault) -> None:
    guard = OldGuard()
    fleet = Fleet({"qa-1": cast("GuardClient", guard)}, epoch=1)
    reply = fleet.arm("o", {"qa-1": fault})["qa-1"]
    assert reply.value is None
    assert "speaks protocol 1" in reply.error
    assert "guard install" in reply.error
    assert guard.asked == []


def test_it_is_still_sent_what_it_understands_and_every_undo() -> None:
    guard = OldGuard()
    fleet = Fleet({"qa-1": cast("GuardClient", guard)}, epoch=1)
    assert fleet.arm("o", {"qa-1": HOLD})["qa-1"].ok
    assert fleet.undo("o", ["qa-1"])["qa-1"].ok
    assert guard.asked == ["arm", "connect ahead", "undo"]


class WaitsForTheOthers(OldGuard):
    """It answers only once every guard was asked: whoever asks one after another hears nothing."""

    together = threading.Barrier(len(NODES))

    def __init__(self, node: str) -> None:
        super().__init__()
        self.node = node

    def hello(self) -> Hello:
        self.together.wait(timeout=2)
        if self.node == "qa-2":
            raise GuardUnreachable("qa-2 gave no answer")
        return super().hello()


@pytest.mark.django_db
def test_a_persons_look_asks_all_guards_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    people = make_cast()
    pin = make_authority("some cluster").certificate_pem
    for node in people.cluster.nodes.all():
        pin_guard(actor=people.olga, node=node, certificate_pem=pin, image="guard:1")
    monkeypatch.setattr(
        GuardClient, "for_guard", lambda guard, **_more: WaitsForTheOthers(guard.node.name)
    )
    with CaptureQueriesContext(connection) as asked:
        views = ask_guards(actor=people.erik, cluster=people.cluster)
    assert [view.guard.node.name for view in views] == list(NODES)
    assert [view.hello is not None for view in views] == [True, False, True]
    assert "qa-2 gave no answer" in views[1].error
    for view in views:
        view.guard.refresh_from_db()
        assert (view.guard.version, view.guard.last_seen_at is not None) == (
            ("0.1", True) if view.hello else ("", False)
        )
    written = [query["sql"] for query in asked if query["sql"].startswith("UPDATE")]
    assert len(written) == 1
