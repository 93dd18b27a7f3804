"""Guards over the years: adopted after a restored backup, given new keys, updated."""

from __future__ import annotations

import uuid
from io import StringIO

import pytest
from django.core.management import call_command

from core.errors import ClusterRefused, ClusterUnreachable, NotAllowed
from gamedays.drivers.guard_client import GuardClient, GuardRefused, GuardUnreachable
from gamedays.models import ClusterAuthority, Guard
from gamedays.operations import guard_upkeep, guards
from guard.protocol import Code, Fault, FaultKind, Phase, UndoReason
from tests.guard.cluster_api import ClusterApi
from tests.guard.test_installation import IMAGE, api, cast, install
from tests.people import Cast

__all__ = ["api", "cast"]

pytestmark = [pytest.mark.django_db, pytest.mark.long, pytest.mark.timeout(180)]
DRILL = Fault(kind=FaultKind.DRILL, hold_s=60)


def strike(guard: Guard, epoch: int = 1) -> str:
    """A drill that is live on one node."""
    order_id = str(uuid.uuid4())
    client = GuardClient.for_guard(guard)
    client.arm(order_id, DRILL, epoch)
    assert client.inject(order_id).bitten
    return order_id


def rotate(cast: Cast, api: ClusterApi) -> list[Guard]:
    return guard_upkeep.rotate_guards(
        actor=cast.olga, cluster=cast.cluster, owner_kubeconfig=api.kubeconfig(), image=IMAGE
    )


# -- adopt ----------------------------------------------------------------------------------


def test_row_31_adopting_undoes_orphans_and_then_raises_the_epoch(
    cast: Cast, api: ClusterApi
) -> None:
    first, second, _ = install(cast, api)
    # The backup is older than what the guards have seen.
    order_id = strike(first, epoch=7)
    said = StringIO()
    call_command("guard", "adopt", cast.cluster.name, stdout=said)
    assert "epoch 8" in said.getvalue()
    assert ClusterAuthority.objects.get().epoch == 8
    order = GuardClient.for_guard(first).undo(order_id)
    assert (order.phase, order.undo_reason) in [
        (Phase.UNDONE, UndoReason.REQUESTED),
        (Phase.UNDONE, None),  # by now only its tombstone is left
    ]
    for guard in Guard.objects.all():
        hello = GuardClient.for_guard(guard).hello()
        assert (hello.epoch, hello.order) == (8, None)
    with pytest.raises(GuardRefused) as refusal:
        GuardClient.for_guard(second).arm(str(uuid.uuid4()), DRILL, 7)
    assert refusal.value.code is Code.OLD_EPOCH, "what still runs from before is refused"
    assert strike(first, epoch=8)


def test_a_guard_that_gives_no_answer_stops_the_adoption(cast: Cast, api: ClusterApi) -> None:
    made = install(cast, api)
    Guard.objects.filter(pk=made[2].pk).update(address="127.255.255.1")
    with pytest.raises(ClusterUnreachable, match="must answer"):
        guard_upkeep.adopt_guards(actor=cast.olga, cluster=cast.cluster)
    assert ClusterAuthority.objects.get().epoch == 1


def test_adopting_may_be_repeated_and_is_the_owners(cast: Cast, api: ClusterApi) -> None:
    install(cast, api)
    assert guard_upkeep.adopt_guards(actor=cast.olga, cluster=cast.cluster) == 2
    assert guard_upkeep.adopt_guards(actor=cast.olga, cluster=cast.cluster) == 3
    with pytest.raises(NotAllowed):
        guard_upkeep.adopt_guards(actor=cast.lea, cluster=cast.cluster)


def test_a_cluster_without_guards_is_told_so(cast: Cast) -> None:
    for verb in (
        lambda: guard_upkeep.adopt_guards(actor=cast.olga, cluster=cast.cluster),
        lambda: guard_upkeep.rotate_guards(
            actor=cast.olga, cluster=cast.cluster, owner_kubeconfig="", image=IMAGE
        ),
    ):
        with pytest.raises(ClusterRefused, match="no guards"):
            verb()


# -- rotate ---------------------------------------------------------------------------------


def test_after_a_rotation_nothing_that_was_known_before_opens_a_guard(
    cast: Cast, api: ClusterApi
) -> None:
    before = install(cast, api)
    old_clients = [GuardClient.for_guard(guard) for guard in before]
    after = rotate(cast, api)
    for old, new, client in zip(before, after, old_clients, strict=True):
        assert new.certificate_pem != old.certificate_pem
        assert GuardClient.for_guard(new).hello().node == old.node.name
        with pytest.raises(GuardUnreachable, match="pinned"):
            client.hello()
        # Also with the new pin: the former authority's certificates are no good any more.
        old.certificate_pem = new.certificate_pem
        with pytest.raises(GuardUnreachable):
            GuardClient.for_guard(old).hello()


def test_a_node_that_fails_in_a_rotation_keeps_its_keys_and_is_brought_over_later(
    cast: Cast, api: ClusterApi
) -> None:
    before = install(cast, api)
    order_id = strike(before[1])
    with pytest.raises(ClusterRefused, match="undo it first"):
        rotate(cast, api)
    kept = Guard.objects.get(node__name="qa-2")
    assert kept.certificate_pem == before[1].certificate_pem
    client = GuardClient.for_guard(kept)
    assert client.undo(order_id).phase in (Phase.UNDOING, Phase.UNDONE)
    guard_upkeep._undo("qa-2", client, order_id)
    call = StringIO()
    # Installing once more is enough.
    after = install(cast, api)
    assert all(GuardClient.for_guard(guard).hello() for guard in after), call.getvalue()


def test_a_rotation_keeps_journal_tombstones_and_epoch(cast: Cast, api: ClusterApi) -> None:
    first = install(cast, api)[0]
    order_id = strike(first, epoch=5)
    guard_upkeep._undo("qa-1", GuardClient.for_guard(first), order_id)
    rotated = rotate(cast, api)[0]
    client = GuardClient.for_guard(rotated)
    assert client.hello().epoch == 5
    with pytest.raises(GuardRefused) as refusal:
        client.arm(order_id, DRILL, 5)
    assert refusal.value.code is Code.TOMBSTONE


# -- update ---------------------------------------------------------------------------------


def test_an_update_over_a_live_order_is_refused_and_the_guard_keeps_it(
    cast: Cast, api: ClusterApi
) -> None:
    first = install(cast, api)[0]
    order_id = strike(first)
    with pytest.raises(ClusterRefused, match=order_id):
        install(cast, api, "belay.local/belay-guard:2")
    hello = GuardClient.for_guard(first).hello()
    assert hello.order is not None
    assert hello.order.order_id == order_id
    guard_upkeep._undo("qa-1", GuardClient.for_guard(first), order_id)
    guards.uninstall_guards(
        actor=cast.olga, cluster=cast.cluster, owner_kubeconfig=api.kubeconfig(), image=IMAGE
    )
